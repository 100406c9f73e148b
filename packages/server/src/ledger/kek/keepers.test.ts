/** What goes wrong at a keeper over HTTP, and by which code it is told: the same for all of them where it can be. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type ErrorCode, RecordError } from '@watchglass/record';
import type { Kek } from '@watchglass/record/reader';
import type { Clock } from '../../world/world.ts';
import { awsKms } from './aws-kms.ts';
import { type AwsKeeper, throttled as awsThrottled, startAwsKms } from './aws-kms-server.fixture.ts';
import { azureKeyVault } from './azure-key-vault.ts';
import {
  type AzureKeeper,
  addVersion,
  throttled as azureThrottled,
  startAzureKeyVault,
} from './azure-key-vault-server.fixture.ts';
import { crc32c } from './crc32c.ts';
import { googleKms } from './google-kms.ts';
import { type GoogleKeeper, throttled as googleThrottled, startGoogleKms } from './google-kms-server.fixture.ts';
import type { KeeperServer, Misdeed, Reply } from './keeper-server.fixture.ts';
import type { KekProvider, ProviderDeps } from './provider.ts';
import { signAws } from './sigv4.ts';
import { startVault, type VaultKeeper, throttled as vaultThrottled } from './vault-server.fixture.ts';
import { vaultTransit } from './vault-transit.ts';

const aad = new TextEncoder().encode('a place');
const coded =
  (code: ErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof RecordError, String(error));
    assert.equal(error.code, code, error.message);
    assert.doesNotMatch(error.message, /hush|hvs\.|AKID|captive|Bearer/);
    return true;
  };

interface Case<Server extends KeeperServer & { readonly settings: { readonly key: string } }> {
  readonly name: string;
  readonly start: () => Promise<Server>;
  readonly open: (server: Server, deps?: ProviderDeps) => KekProvider;
  readonly throttled: Reply;
  /** Takes the right to unwrap, or to wrap, away. */
  readonly forbid: (server: Server, what: 'wrap' | 'unwrap') => void;
  readonly lose: (server: Server) => void;
  readonly disable?: (server: Server) => void;
  /** Variables with credentials nobody knows. */
  readonly strangers: Record<string, string>;
}

const cases: readonly Case<never>[] = [
  {
    name: 'aws-kms',
    start: startAwsKms,
    open: ({ settings, deps }, given = deps) => awsKms(settings, given),
    throttled: awsThrottled,
    forbid: ({ allowed }, what) => allowed.delete(what === 'wrap' ? 'Encrypt' : 'Decrypt'),
    lose: ({ keys, settings }) => keys.delete(settings.key),
    disable: ({ keys, settings }) => {
      const key = keys.get(settings.key);
      if (key !== undefined) key.state = 'Disabled';
    },
    strangers: { AWS: '{"accessKeyId":"AKIDEXAMPLE","secretAccessKey":"hush","sessionToken":"a/session=token"}' },
  } satisfies Case<AwsKeeper>,
  {
    name: 'google-kms',
    start: startGoogleKms,
    open: ({ settings, deps }, given = deps) => googleKms(settings, given),
    throttled: googleThrottled,
    forbid: ({ allowed }, what) => allowed.delete(what === 'wrap' ? 'encrypt' : 'decrypt'),
    lose: ({ versions, settings }) => versions.delete(settings.key),
    disable: ({ versions, settings }) => {
      const version = versions.get(settings.key);
      if (version !== undefined) version.state = 'DISABLED';
    },
    strangers: { GOOGLE: '{"client_email":"x","private_key":"hush","token_uri":"http://127.0.0.1:1/"}' },
  } satisfies Case<GoogleKeeper>,
  {
    name: 'azure-key-vault',
    start: startAzureKeyVault,
    open: ({ settings, deps }, given = deps) => azureKeyVault(settings, given),
    throttled: azureThrottled,
    forbid: ({ allowed }, what) => allowed.delete(what === 'wrap' ? 'wrapkey' : 'unwrapkey'),
    lose: ({ keys }) => keys.delete('kek'),
    disable: ({ keys }) => {
      const key = keys.get('kek');
      if (key !== undefined) key.enabled = false;
    },
    strangers: { AZURE: '{"tenantId":"a-directory","clientId":"watchglass","clientSecret":"hush"}' },
  } satisfies Case<AzureKeeper>,
  {
    name: 'vault-transit',
    start: startVault,
    open: ({ settings, deps }, given = deps) => vaultTransit(settings, given),
    throttled: vaultThrottled,
    forbid: ({ allowed }, what) => allowed.delete(what === 'wrap' ? 'encrypt' : 'decrypt'),
    lose: ({ keys }) => keys.delete('watchglass'),
    strangers: { VAULT_TOKEN: 'hvs.hush' },
  } satisfies Case<VaultKeeper>,
] as unknown as readonly Case<never>[];

type AnyServer = KeeperServer & { readonly settings: { readonly key: string } };

for (const one of cases as unknown as readonly Case<AnyServer>[]) {
  const fact = (what: string, run: (server: AnyServer, kek: Kek) => Promise<void>): void => {
    test(`${one.name}: ${what}`, async () => {
      await using server = await one.start();
      const kek = await one.open(server).open(server.settings.key);
      // A bearer token is fetched now, so that what follows is about the key.
      await kek.wrap(randomBytes(32), aad);
      server.received.length = 0;
      await run(server, kek);
    });
  };

  fact('what passes by itself is tried again, with growing pauses, and then works', async (server, kek) => {
    const passing: readonly Misdeed[] = [
      one.throttled,
      'drop',
      { status: 503 },
      'hang',
      { status: 500, body: 'oops' },
      'half',
    ];
    for (const misdeed of passing) {
      server.misdeeds.push(misdeed, misdeed);
      server.clock.sleptMs.length = 0;
      const secret = randomBytes(32);
      const wrapped = await kek.wrap(secret, aad);
      assert.deepEqual(Buffer.from(await kek.unwrap(wrapped, aad)), secret);
      const [first = 0, second = 0, ...more] = server.clock.sleptMs;
      // Each is spread by half around its mean, which doubles; a keeper may ask for more.
      const grown = first >= 100 && second >= 200;
      assert.ok(more.length === 0 && grown, `${JSON.stringify(misdeed)}: ${server.clock.sleptMs}`);
    }
  });

  fact('what doesn’t pass is given up within a bound, by its own code', async (server, kek) => {
    const lasting: readonly [Misdeed, ErrorCode][] = [
      [one.throttled, 'kek-throttled'],
      [{ ...one.throttled, headers: { 'retry-after': '3600' } }, 'kek-throttled'],
      ['drop', 'kek-unreachable'],
      ['hang', 'kek-unreachable'],
      [{ status: 503 }, 'kek-unreachable'],
      ['garbage', 'kek-malformed'],
      ['flood', 'kek-malformed'],
      [{ status: 200, body: {} }, 'kek-malformed'],
      [{ status: 200, body: [] }, 'kek-malformed'],
      [{ status: 200, body: 'null' }, 'kek-malformed'],
      [{ status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'kek-malformed'],
    ];
    for (const [misdeed, code] of lasting) {
      server.misdeeds.length = 0;
      server.received.length = 0;
      for (let time = 0; time < 20; time++) server.misdeeds.push(misdeed);
      const startedMs = server.clock.monotonicMs();
      await assert.rejects(kek.wrap(randomBytes(32), aad), coded(code), JSON.stringify(misdeed));
      assert.ok(server.received.length <= 4, `${server.received.length} attempts`);
      if (misdeed !== 'hang') assert.ok(server.clock.monotonicMs() - startedMs <= 15_000);
    }
  });

  fact('a right that is missing is told apart from a key that is', async (server, kek) => {
    const wrapped = await kek.wrap(randomBytes(32), aad);
    one.forbid(server, 'unwrap');
    await assert.rejects(kek.unwrap(wrapped, aad), coded('kek-refused'));
    await kek.wrap(randomBytes(32), aad);
    one.forbid(server, 'wrap');
    await assert.rejects(kek.wrap(randomBytes(32), aad), coded('kek-refused'));
    assert.equal(server.clock.sleptMs.length, 0, 'a refusal is not tried again');
  });

  fact('a key that is lost, or switched off, is told as lost', async (server, kek) => {
    const wrapped = await kek.wrap(randomBytes(32), aad);
    one.disable?.(server);
    if (one.disable !== undefined) await assert.rejects(kek.unwrap(wrapped, aad), coded('kek-lost'));
    one.lose(server);
    await assert.rejects(kek.wrap(randomBytes(32), aad), coded('kek-lost'));
  });

  fact('credentials nobody knows, unreadable ones and none are refused, and never repeated', async (server) => {
    const [[name = '']] = Object.entries(one.strangers) as [[string, string]];
    for (const env of [one.strangers, { [name]: name === 'VAULT_TOKEN' ? 'hvs.x' : 'hush, no JSON' }, {}]) {
      const stranger = await one.open(server, { ...server.deps, env }).open(server.settings.key);
      await assert.rejects(stranger.wrap(randomBytes(32), aad), coded('kek-refused'));
    }
  });
}

test('Signature Version 4 gives the signatures of the published examples', () => {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
  const common = {
    url: new URL('https://example.amazonaws.com/'),
    region: 'us-east-1',
    service: 'service',
    nowMs: Date.UTC(2015, 7, 30, 12, 36, 0),
  };
  const signatureOf = (headers: Record<string, string>, body: string): string | undefined =>
    signAws({ ...common, headers, body }, credentials).authorization?.split('Signature=')[1];
  // post-vanilla, and post-x-www-form-urlencoded
  assert.equal(signatureOf({}, ''), '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b');
  assert.equal(
    signatureOf({ 'content-type': 'application/x-www-form-urlencoded' }, 'Param1=value1'),
    'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
  );
});

test('a clock that is wrong by more than AWS allows is a refusal', async () => {
  await using server = await startAwsKms();
  const { world } = server.deps;
  const clock: Clock = {
    now: () => server.clock.now() + 600_000,
    monotonicMs: () => server.clock.monotonicMs(),
    after: (...given) => server.clock.after(...given),
    every: (...given) => server.clock.every(...given),
    sleep: (ms) => server.clock.sleep(ms),
  };
  const kek = await awsKms(server.settings, { ...server.deps, world: { ...world, clock } }).open(server.settings.key);
  await assert.rejects(kek.wrap(randomBytes(32), aad), coded('kek-refused'));
});

test('the identity of the machine serves in place of credentials, and is asked for again before it ends', async () => {
  await using aws = await startAwsKms();
  const atAws = await awsKms({ ...aws.settings, credentials: { kind: 'instance' } }, aws.deps, aws.origin).open(
    aws.settings.key,
  );
  await using google = await startGoogleKms();
  const atGoogle = await googleKms(
    { ...google.settings, credentials: { kind: 'instance' } },
    google.deps,
    google.origin,
  ).open(google.settings.key);
  await using azure = await startAzureKeyVault();
  const atAzure = await azureKeyVault(
    { ...azure.settings, credentials: { kind: 'instance' } },
    azure.deps,
    azure.origin,
  ).open(azure.settings.key);
  const places: [KeeperServer, Kek, RegExp][] = [
    [aws, atAws, /security-credentials\/watchglass$/],
    [google, atGoogle, /service-accounts\/default\/token$/],
    [azure, atAzure, /oauth2\/token$/],
  ];
  for (const [server, kek, path] of places) {
    const asked = (): number => server.received.filter((request) => path.test(request.path)).length;
    await kek.wrap(randomBytes(32), aad);
    await kek.wrap(randomBytes(32), aad);
    assert.equal(asked(), 1);
    server.clock.advance(3_590_000);
    await kek.wrap(randomBytes(32), aad);
    assert.equal(asked(), 2);
  }
});

test('bytes that were damaged on Google’s way back are not taken for a wrapped secret', async () => {
  await using server = await startGoogleKms();
  const kek = await googleKms(server.settings, server.deps).open(server.settings.key);
  server.damage = true;
  await assert.rejects(kek.wrap(randomBytes(32), aad), coded('kek-malformed'));
  // RFC 3720 §B.4.
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
});

test('an answer that says nothing of a deletion is no evidence of one', async () => {
  const nothing: readonly Reply[] = [
    { status: 200, body: {} },
    { status: 200, body: { scheduledPurgeDate: 1e300 } },
    { status: 200, body: { recoveryId: 'x', scheduledPurgeDate: 1e300 } },
    { status: 200, body: { DeletionDate: 1e300 } },
    { status: 404, body: { errors: ['no handler for route "transit/keys/kek". route entry not found.'] } },
    { status: 404, body: '<p>not here</p>' },
  ];
  await using aws = await startAwsKms();
  const atAws = await awsKms(aws.settings, aws.deps).open(aws.settings.key);
  await using azure = await startAzureKeyVault();
  const atAzure = await azureKeyVault(azure.settings, azure.deps).open(azure.settings.key);
  await using google = await startGoogleKms();
  const atGoogle = await googleKms(google.settings, google.deps).open(google.settings.key);
  await using vault = await startVault();
  const atVault = await vaultTransit(vault.settings, vault.deps).open(vault.settings.key);
  const keepers: readonly (readonly [KeeperServer, Kek])[] = [
    [aws, atAws],
    [google, atGoogle],
    [azure, atAzure],
    [vault, atVault],
  ];
  for (const [server, kek] of keepers) {
    await kek.wrap(randomBytes(32), aad);
    for (const reply of nothing) {
      // Vault tells of a deletion by its status alone.
      if (server === vault && reply.status === 200) continue;
      for (let time = 0; time < 8; time++) server.misdeeds.push(reply);
      const isCoded = (error: unknown): boolean => error instanceof RecordError && error.code.startsWith('kek-');
      await assert.rejects(kek.destroy(), isCoded, `${kek.id} ${JSON.stringify(reply)}`);
      server.misdeeds.length = 0;
    }
  }
});

test('a name at Azure with several versions is not deleted with them', async () => {
  await using server = await startAzureKeyVault();
  const kek = await azureKeyVault(server.settings, server.deps).open(server.settings.key);
  addVersion(server.keys, 'kek');
  await assert.rejects(kek.destroy(), coded('kek-refused'));
  assert.equal(server.keys.get('kek')?.purgeMs, undefined);
});
