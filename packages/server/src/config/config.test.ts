import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { configKeys, parseConfig, readConfig } from './config.ts';
import { ConfigError } from './error.ts';

const good = `
data: ./data
listen: { port: 9440 }
url: http://localhost:9440/
tenants: [clinic]
origin: watchglass.example
issuer: { embedded: true, url: http://localhost:9442, listen: { port: 9442 } }
`;

function problemsOf(text: string): readonly string[] {
  try {
    parseConfig(text, '/etc/watchglass/watchglass.yaml');
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.code, 'config-invalid');
    for (const problem of error.problems) assert.ok(error.message.includes(problem));
    return error.problems;
  }
  return [];
}

test('a configuration is read with its defaults, and its paths count from its folder', () => {
  assert.deepEqual(parseConfig(good, '/etc/watchglass/watchglass.yaml'), {
    dataDir: '/etc/watchglass/data',
    listen: { host: '127.0.0.1', port: 9440 },
    url: 'http://localhost:9440',
    tenants: ['clinic'],
    origin: 'watchglass.example',
    issuer: { kind: 'embedded', url: 'http://localhost:9442', listen: { host: '127.0.0.1', port: 9442 } },
    log: { level: 'info' },
  });
});

test('an issuer of one’s own needs a client, and its URL stays as it is', () => {
  const foreign = good.replace(
    /issuer:.*/,
    'issuer: { url: https://id.example/, clientId: wg, clientSecretFile: secret }',
  );
  assert.deepEqual(parseConfig(foreign, '/etc/watchglass/watchglass.yaml').issuer, {
    kind: 'foreign',
    url: 'https://id.example/',
    clientId: 'wg',
    clientSecretFile: '/etc/watchglass/secret',
    audience: 'urn:watchglass:api',
    algorithms: ['RS256', 'ES256', 'EdDSA'],
  });
  const [client, secret] = problemsOf(good.replace(/issuer:.*/, 'issuer: { url: https://id.example }'));
  assert.match(client ?? '', /^issuer\.clientId: missing; register the console/);
  assert.match(secret ?? '', /^issuer\.clientSecretFile: missing; put the client secret/);
});

test('an unknown key is refused with its place and the nearest known key', () => {
  assert.deepEqual(problemsOf(`${good}\ntenant: clinic`), ['tenant: unknown key; did you mean `tenants`?']);
  assert.deepEqual(problemsOf(good.replace('listen: { port: 9440 }', 'listen: { prot: 9440, port: 9440 }')), [
    'listen.prot: unknown key; did you mean `port`?',
  ]);
  assert.deepEqual(problemsOf(good.replace('listen: { port: 9440 }', 'listen: { port: 9440, zzzzzzzz: 1 }')), [
    'listen.zzzzzzzz: unknown key; known here: host, port',
  ]);
});

test('a missing key says what to set', () => {
  const [problem] = problemsOf(good.replace('data: ./data', ''));
  assert.match(problem ?? '', /^data: missing; set it: Directory of everything/);
  const places = problemsOf('').map((line) => line.split(':')[0]);
  assert.deepEqual(places, ['data', 'listen', 'url', 'tenants', 'origin', 'issuer']);
});

test('what contradicts itself or is unsafe is refused', () => {
  const cases: [string, string, RegExp][] = [
    [
      'listen: { port: 9440 }',
      'listen: { host: 0.0.0.0, port: 9440 }',
      /^listen\.host: `0\.0\.0\.0` can be reached .* needs TLS/,
    ],
    ['url: http://localhost:9440/', 'url: http://watchglass.example', /^url: plain http/],
    ['url: http://localhost:9442', 'url: http://id.example', /^issuer\.url: a plain http issuer/],
    [
      'tenants: [clinic]',
      'tenants: [clinic]\ntrustedProxies: [10.0.0.7, proxy]',
      /^trustedProxies\[1\]: expected an address/,
    ],
    ['tenants: [clinic]', 'tenants: [clinic]\ntrustedProxies: 10.0.0.7', /^trustedProxies: /],
    ['tenants: [clinic]', 'tenants: [Clinic]', /^tenants\[0\]: expected lower-case/],
    ['tenants: [clinic]', 'tenants: [clinic, clinic]', /^tenants\[1\]: `clinic` stands there twice/],
    ['tenants: [clinic]', 'tenants: []', /^tenants: /],
    ['tenants: [clinic]', 'tenants: [clinic]\nwithholding: [other]', /^withholding\[0\]: expected one of/],
    ['origin: watchglass.example', 'origin: "two words"', /^origin: expected 1 to 200/],
    ['port: 9440', 'port: 99999', /^listen\.port: /],
    [', listen: { port: 9442 } }', ' }', /^issuer\.listen: missing/],
    ['embedded: true, url', 'embedded: true, clientId: x, url', /^issuer\.clientId: is for an issuer of your own/],
    ['embedded: true', 'embedded: false', /^issuer\.listen: is for the embedded issuer/],
    ['data: ./data', 'data: ./data\ntls: { cert: a, key: b }', /^url: with `tls` set/],
    ['data: ./data', 'data: ./data\ndata: ./other', /^not YAML: Map keys must be unique/],
    ['data: ./data', 'data: [', /^not YAML/],
    ['data: ./data', `data: &a [1]\nmore: [${Array(60).fill('*a').join()}]`, /^its aliases can't be followed/],
    ['data: ./data', 'data: *later', /^its aliases can't be followed|^not YAML/],
  ];
  for (const [from, to, expected] of cases) {
    const changed = good.replace(from, to);
    assert.notEqual(changed, good, from);
    assert.match(problemsOf(changed)[0] ?? 'nothing', expected, to);
  }
});

test('no problem repeats a value that may be a secret', () => {
  const problems = problemsOf(
    good.replace('origin: watchglass.example', 'origin: "s3cret value"').replace('port: 9440', 'port: s3cret'),
  );
  assert.equal(problems.length, 2);
  assert.ok(!problems.join().includes('s3cret'));
});

test('a file that is not there says how to make one', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-config-'));
  await assert.rejects(readConfig(join(dir, 'none.yaml')), /there is no such file; `watchglass init` writes one/);
  await writeFile(join(dir, 'watchglass.yaml'), good);
  assert.equal((await readConfig(join(dir, 'watchglass.yaml'))).dataDir, join(dir, 'data'));
  await rm(dir, { recursive: true });
});

test('the keeper of the keys is read with what it needs, and nothing of another', () => {
  const withKeys = (keys: string): string => `${good}keys: ${keys}\n`;
  const read = (keys: string): unknown => parseConfig(withKeys(keys), '/etc/watchglass/watchglass.yaml').keys;
  assert.deepEqual(read('{ rights: wrap }'), { shared: { provider: 'local' }, tenants: {}, rights: 'wrap' });
  const arn = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  assert.deepEqual(
    read(
      `{ provider: passphrase, passphrase: { file: p }, tenants: { clinic: { provider: aws-kms, key: "${arn}", region: eu-central-1, credentials: { instance: true } } } }`,
    ),
    {
      shared: { provider: 'passphrase', passphrase: { kind: 'file', path: '/etc/watchglass/p' } },
      tenants: {
        clinic: { provider: 'aws-kms', key: arn, region: 'eu-central-1', credentials: { kind: 'instance' } },
      },
      rights: 'wrap-and-unwrap',
    },
  );
  const google = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3';
  const azure = 'https://clinic.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef';
  for (const keys of [
    `{ provider: google-kms, key: ${google}, credentials: { environment: GOOGLE } }`,
    `{ provider: azure-key-vault, key: "${azure}", credentials: { file: azure.json } }`,
    '{ provider: vault-transit, key: watchglass, address: "https://vault.example:8200", token: { file: token } }',
    '{ provider: pkcs11, key: kek, module: /usr/lib/softhsm/libsofthsm2.so, tokenLabel: "my token", pin: { file: pin } }',
  ])
    assert.equal((read(keys) as { rights: string }).rights, 'wrap-and-unwrap', keys);
  const wrong: readonly [string, RegExp][] = [
    ['{ provider: passphrase }', /keys\.passphrase: missing/],
    ['{ key: x }', /keys\.key: is for another provider than `local`/],
    ['{ provider: passphrase, passphrase: {} }', /keys\.passphrase: say one way/],
    ['{ provider: passphrase, passphrase: { file: a, environment: B } }', /keys\.passphrase: say one way/],
    ['{ provider: passphrase, passphrase: { value: hunter2 } }', /keys\.passphrase\.value: unknown key/],
    [
      `{ provider: google-kms, key: ${google.replace('/cryptoKeyVersions/3', '')}, credentials: { instance: true } }`,
      /keys\.key: expected .*with the version/,
    ],
    [
      '{ provider: vault-transit, key: k, address: "http://vault.example", token: { file: t } }',
      /keys\.address: plain http/,
    ],
    [
      '{ provider: vault-transit, key: k, address: "https://vault.example/v1", token: { file: t } }',
      /keys\.address: expected an origin/,
    ],
    ['{ tenants: { clinik: {} } }', /keys\.tenants\.clinik: no tenant of this server/],
    ['{ tenants: { clinic: { provider: passphrase } } }', /keys\.tenants\.clinic\.passphrase: missing/],
    ['{ rights: read }', /keys\.rights/],
    [
      `{ provider: google-kms, key: "${google}", credentials: { instance: true }, tenants: { clinic: { provider: google-kms, key: "${google}", credentials: { file: other.json } } } }`,
      /keys\.tenants\.clinic\.key: is the key that tenants share/,
    ],
  ];
  for (const [keys, expected] of wrong) {
    const problems = problemsOf(withKeys(keys));
    assert.match(problems.join('\n'), expected, keys);
    assert.doesNotMatch(problems.join('\n'), /hunter2/);
  }
});

test('witnesses and timestamps are read with their defaults, and what contradicts itself is refused', () => {
  const read = (text: string): ReturnType<typeof parseConfig> =>
    parseConfig(`${good}${text}`, '/etc/watchglass/w.yaml');
  const { witnesses, timestamps } = read(
    'witnesses: { policy: w.policy, tenants: { clinic: { text: quorum none } } }\ntimestamps: { url: http://tsa.example/tsr, ca: tsa.pem }\n',
  );
  assert.deepEqual(witnesses, {
    policy: { file: '/etc/watchglass/w.policy' },
    tenants: new Map([['clinic', { text: 'quorum none' }]]),
    strict: false,
    ageSecondsMax: 1_800,
  });
  assert.deepEqual(timestamps, {
    url: 'http://tsa.example/tsr',
    periodMs: 86_400_000,
    caFile: '/etc/watchglass/tsa.pem',
  });
  const cases: readonly (readonly [string, RegExp])[] = [
    ['witnesses: {}', /^witnesses: expected `policy`, `text` or `tenants`/],
    ['witnesses: { policy: a, text: b }', /^witnesses: `policy` and `text` are both set/],
    ['witnesses: { tenants: { other: { text: a } } }', /^witnesses\.tenants\.other: there is no such tenant/],
    ['witnesses: { tenants: { clinic: {} } }', /^witnesses\.tenants\.clinic: expected one of/],
    ['witnesses: { policy: a, strikt: true }', /^witnesses\.strikt: unknown key; did you mean `strict`/],
    ['timestamps: { everyMinutes: 5 }', /^timestamps\.url: missing/],
    ['timestamps: { url: "http://tsa.example", everyMinutes: 0 }', /^timestamps\.everyMinutes: /],
  ];
  for (const [text, expected] of cases) assert.match(problemsOf(`${good}${text}\n`)[0] ?? 'nothing', expected, text);
});

const documentation = new URL('../../../../docs/configuration.md', import.meta.url);

test('the documentation has a line for each key, and its example is a good configuration', async () => {
  const text = await readFile(documentation, 'utf8');
  const table = /<!-- server keys -->\n([\s\S]*?)<!-- end -->/.exec(text)?.[1];
  const expected = [
    '| key | default | what it is |',
    '|---|---|---|',
    ...configKeys().map(({ key, required, fallback, description }) => {
      const otherwise = required ? 'required' : fallback === undefined ? '' : `\`${fallback}\``;
      return `| \`${key}\` | ${otherwise} | ${description} |`;
    }),
    '',
  ].join('\n');
  const unpadded = table?.replaceAll(/ +\|/g, ' |').replaceAll(/\| ?-+ ?(?=\|)/g, '|---');
  assert.equal(unpadded, expected.replaceAll(/ +\|/g, ' |'), `docs/configuration.md should hold:\n${expected}`);
  const example = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  parseConfig(example, '/etc/watchglass/watchglass.yaml');
  assert.ok(parse(example));
});
