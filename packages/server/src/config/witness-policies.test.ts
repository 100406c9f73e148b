import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cosignerOf, formatVerifierKey, generateSigner, parseTenantId } from '@watchglass/record';
import { ConfigError } from './error.ts';
import { type PolicyPlaces, type PolicySource, readPolicies } from './witness-policies.ts';

const clinic = parseTenantId('clinic');
const hospital = parseTenantId('hospital');
const key = (n: number): string =>
  formatVerifierKey(cosignerOf(generateSigner(`witness.example/w${n}`, new Uint8Array(32).fill(n))));
const good = `witness one ${key(1)} https://w1.example\nwitness two ${key(2)} https://w2.example\ngroup g 1 one two\nquorum g\n`;
const files = new Map([['/etc/w.policy', good]]);
const disk = {
  readFile: async (path: string) => {
    const text = files.get(path);
    return text === undefined ? undefined : Buffer.from(text);
  },
};

function places(policy: PolicySource | undefined, own: readonly [typeof clinic, PolicySource][] = []): PolicyPlaces {
  return {
    tenants: [clinic, hospital],
    origin: 'watchglass.example',
    witnesses: {
      ...(policy === undefined ? {} : { policy }),
      tenants: new Map(own),
      strict: false,
      ageSecondsMax: 60,
    },
  };
}

test('a tenant has its own policy, or the common one, or none', async () => {
  const common = await readPolicies(disk, places({ file: '/etc/w.policy' }, [[hospital, { text: 'quorum none' }]]));
  assert.equal(common.get(clinic)?.policy.witnesses.length, 2);
  assert.equal(common.get(hospital)?.policy.quorum.kind, 'none');
  assert.deepEqual([...(await readPolicies(disk, places(undefined, [[clinic, { text: good }]]))).keys()], [clinic]);
  assert.equal((await readPolicies(disk, { tenants: [clinic], origin: 'o' })).size, 0);
});

test('a policy that cannot be read, or never be reached, is refused with its place', async () => {
  const log = formatVerifierKey(generateSigner('watchglass.example/other', new Uint8Array(32).fill(7)));
  const cases: readonly (readonly [PolicySource, RegExp])[] = [
    [{ file: '/etc/none' }, /witnesses\.policy: \/etc\/none: there is no such file/],
    [{ text: 'quorum nobody' }, /witnesses\.text: line 1: /],
    [{ text: `witness one ${key(1)}\nquorum one` }, /its quorum cannot be reached/],
    [{ text: good.replace('g 1', 'g 2').replace(' https://w2.example', '') }, /its quorum cannot be reached/],
    [{ text: good.replace('https://w1', 'ftp://w1') }, /http or https URL of the witness one/],
    [{ text: good.replace('w1.example', 'w1.example/?a=b') }, /URL of the witness one, without a query/],
    [{ text: `log ${log}\n${good}` }, /watchglass\.example\/clinic is none of them/],
  ];
  for (const [source, expected] of cases) {
    await assert.rejects(
      readPolicies(disk, places(source), 'w.yaml'),
      (error) => error instanceof ConfigError && expected.test(error.message),
      String(expected),
    );
  }
});
