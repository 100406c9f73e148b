/** Proofs of DPoP, one fault at a time, and what is remembered of them (RFC 9449 §4.3, §7, §9, §11.1). */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';

import { makeProver, type Prover } from './dpop.fixture.ts';
import { dpopChallenge, ProofChecker, type ProofCheckerOptions, type ProofVerdict } from './dpop.ts';
import { MemoryReplayStore } from './replay-store.ts';

const url = 'https://gw.example/fhir/Patient/1';
const token = 'access-token';
let prover: Prover;
let other: Prover;
/** The second before any proof: a checker that came to be after a proof refuses it. */
let beganMs = 0;

before(async () => {
  beganMs = Math.floor(Date.now() / 1_000) * 1_000;
  prover = await makeProver();
  other = await makeProver();
});

function check(checker: ProofChecker, proof: string | undefined, method = 'GET'): Promise<ProofVerdict> {
  return checker.check({ method, url, proof, certificate: undefined }, token, prover.thumbprint);
}

async function reason(proof: string | undefined, options: ProofCheckerOptions = {}): Promise<string> {
  const verdict = await check(new ProofChecker({ now: () => beganMs, ...options }), proof);
  return verdict.kind === 'refused' ? verdict.reason : verdict.kind;
}

describe('a proof', () => {
  it('that is right is taken, in every algorithm that is offered', async () => {
    for (const algorithm of ['ES256', 'EdDSA', 'ES384', 'PS256', 'RS256']) {
      const one = await makeProver(algorithm);
      const proof = await one.prove({ url, token });
      const presented = { method: 'GET', url, proof, certificate: undefined };
      const checker = new ProofChecker({ now: () => beganMs });
      assert.deepEqual(await checker.check(presented, token, one.thumbprint), { kind: 'proven' }, algorithm);
    }
  });

  it('names the same resource, whatever its query and the spelling of its host', async () => {
    for (const htu of [`${url}?name=x`, `${url}#x`, 'https://GW.example:443/fhir/Patient/1'])
      assert.equal(await reason(await prover.prove({ url, token }, { htu })), 'proven', htu);
  });

  it('is refused for what is wrong with it', async () => {
    const proof = await prover.prove({ url, token });
    const [head = '', body = '', signature = ''] = proof.split('.');
    const secret = Buffer.from(JSON.stringify({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'AAAA' } }));
    const ago = (seconds: number): number => Math.floor(Date.now() / 1_000) - seconds;
    const cases: readonly (readonly [string, string | undefined, ProofCheckerOptions?])[] = [
      ['dpop-missing', undefined],
      ['dpop-malformed', 'x'],
      ['dpop-malformed', 'x'.repeat(9_000)],
      ['dpop-malformed', `${proof}.x`],
      ['dpop-type', await prover.prove({ url, token }, {}, { typ: 'JWT' })],
      ['dpop-type', await prover.prove({ url, token }, {}, { typ: undefined })],
      ['dpop-algorithm', `${secret.toString('base64url')}.${body}.${signature}`],
      ['dpop-algorithm', `${Buffer.from('{"alg":"none","typ":"dpop+jwt"}').toString('base64url')}.${body}.x`],
      ['dpop-key', await prover.prove({ url, token }, {}, { jwk: undefined })],
      ['dpop-key', await prover.prove({ url, token }, {}, { jwk: prover.privateJwk })],
      ['dpop-signature', await prover.prove({ url, token }, {}, { jwk: other.jwk })],
      ['dpop-signature', `${head}.${body}.${Buffer.alloc(64, 1).toString('base64url')}`],
      ['dpop-claims', await prover.prove({ url, token }, { jti: undefined })],
      ['dpop-claims', await prover.prove({ url, token }, { jti: 'x'.repeat(257) })],
      ['dpop-claims', await prover.prove({ url, token }, { iat: undefined })],
      ['dpop-method', await prover.prove({ url, token, method: 'POST' })],
      ['dpop-method', await prover.prove({ url, token, method: 'get' })],
      ['dpop-url', await prover.prove({ url: 'https://gw.example/fhir/Patient/2', token })],
      ['dpop-url', await prover.prove({ url: 'http://gw.example/fhir/Patient/1', token })],
      ['dpop-url', await prover.prove({ url: 'https://evil.example/fhir/Patient/1', token })],
      ['dpop-url', await prover.prove({ url: 'https://a:b@gw.example/fhir/Patient/1', token })],
      ['dpop-url', await prover.prove({ url, token }, { htu: undefined })],
      ['dpop-time', await prover.prove({ url, token }, { iat: ago(-40) })],
      ['dpop-time', await prover.prove({ url, token }, { iat: ago(70) })],
      ['dpop-token', await prover.prove({ url, token: 'another' })],
      ['dpop-token', await prover.prove({ url, token }, { ath: undefined })],
      ['dpop-binding', await other.prove({ url, token })],
    ];
    for (const [expected, wrong, options] of cases) assert.equal(await reason(wrong, options), expected);
    // As old as that is not too old, for a gateway that has run for long enough.
    let nowMs = Date.now() - 600_000;
    const checker = new ProofChecker({ now: () => nowMs });
    nowMs = Date.now();
    assert.equal((await check(checker, await prover.prove({ url, token }, { iat: ago(50) }))).kind, 'proven');
  });

  it('is taken once', async () => {
    const checker = new ProofChecker();
    const proof = await prover.prove({ url, token });
    const verdicts = await Promise.all([check(checker, proof), check(checker, proof), check(checker, proof)]);
    assert.deepEqual(verdicts.map(({ kind }) => kind).sort(), ['proven', 'refused', 'refused']);
    assert.deepEqual(await check(checker, proof), { kind: 'refused', reason: 'dpop-replay' });
  });

  it('from before the start, or before a step of the clock back, is refused: nobody knows whether it was seen', async () => {
    let nowMs = Date.now();
    const checker = new ProofChecker({ now: () => nowMs });
    const made = Math.floor(nowMs / 1_000);
    const old = await prover.prove({ url, token }, { iat: made - 5 });
    assert.deepEqual(await check(checker, old), { kind: 'refused', reason: 'dpop-time' });
    assert.equal((await check(checker, await prover.prove({ url, token }, { iat: made }))).kind, 'proven');
    nowMs += 3_600_000;
    assert.equal((await check(checker, await prover.prove({ url, token }, { iat: made + 3_590 }))).kind, 'proven');
    nowMs -= 3_600_000 - 20_000;
    assert.equal((await check(checker, await prover.prove({ url, token }, { iat: made + 5 }))).kind, 'refused');
    assert.equal((await check(checker, await prover.prove({ url, token }, { iat: made + 21 }))).kind, 'proven');
  });

  it('has to hold a nonce of the gateway where one is asked for, and is told which', async () => {
    let nowMs = Date.now();
    const checker = new ProofChecker({ nonce: true, now: () => nowMs });
    const first = await check(checker, await prover.prove({ url, token }));
    assert.ok(first.kind === 'refused' && first.reason === 'dpop-nonce' && first.nonce !== undefined);
    assert.match(dpopChallenge(first.reason), /^DPoP .*error="use_dpop_nonce".*algs="/);
    const { nonce } = first;
    assert.equal((await check(checker, await prover.prove({ url, token }, { nonce }))).kind, 'proven');
    assert.equal((await check(checker, await prover.prove({ url, token }, { nonce: `${nonce}x` }))).kind, 'refused');
    // Those of another process are good for nothing here.
    assert.equal(
      (await check(new ProofChecker({ nonce: true }), await prover.prove({ url, token }, { nonce }))).kind,
      'refused',
    );
    nowMs += 7 * 60_000;
    const late = await check(checker, await prover.prove({ url, token }, { nonce, iat: Math.floor(nowMs / 1_000) }));
    assert.ok(late.kind === 'refused' && late.reason === 'dpop-nonce');
  });
});

describe('the memory of proofs', () => {
  it('when full lets nobody in by DPoP until the oldest can no longer be replayed', async () => {
    let monotonicMs = 0;
    const store = new MemoryReplayStore({ entriesMax: 3, now: () => monotonicMs });
    const checker = new ProofChecker({ store });
    for (let n = 0; n < 3; n++) assert.equal((await check(checker, await prover.prove({ url, token }))).kind, 'proven');
    assert.equal((await check(checker, await prover.prove({ url, token }))).kind, 'unavailable');
    assert.equal(store.size, 3);
    monotonicMs += 93_000;
    assert.equal((await check(checker, await prover.prove({ url, token }))).kind, 'proven');
    assert.equal(store.size, 1);
  });

  it('is not filled by one key for all the others, nor by proofs that are no good', async () => {
    const store = new MemoryReplayStore({ entriesMax: 4, perHolderMax: 2 });
    const checker = new ProofChecker({ store });
    const by = async (one: Prover): Promise<string> => {
      const proof = await one.prove({ url, token });
      return (await checker.check({ method: 'GET', url, proof, certificate: undefined }, token, one.thumbprint)).kind;
    };
    for (let n = 0; n < 20; n++) await check(checker, await other.prove({ url, token }));
    assert.equal(store.size, 0);
    assert.deepEqual(
      [await by(prover), await by(prover), await by(prover), await by(other)],
      ['proven', 'proven', 'unavailable', 'proven'],
    );
  });

  it('that cannot be asked lets nobody in', async () => {
    const checker = new ProofChecker({ store: { take: () => Promise.reject(new Error('away')) } });
    assert.deepEqual(await check(checker, await prover.prove({ url, token })), { kind: 'unavailable' });
  });
});
