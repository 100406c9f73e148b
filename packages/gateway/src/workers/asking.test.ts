/** A worker whose primary gives no answer: what must be exact is refused, what may be a share goes on as one, and nobody waits twice. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Rates } from '../limits/rates.ts';
import {
  AskedConcurrency,
  AskedGlass,
  AskedRates,
  askedConsent,
  askedMemory,
  HeardLockouts,
  type Primary,
} from './asking.ts';
import type { Beginning } from './beginning.ts';
import { ChannelError } from './channel.ts';
import { HeardConditions } from './heard-conditions.ts';

const hourMs = 3_600_000;
const begin: Beginning = {
  slot: 1,
  count: 2,
  config: { file: 'gateway.yaml', text: '' },
  policy: { text: '' },
  port: 0,
  logLevel: 'silent',
  sinceMs: 0,
  nonceKey: 'AAAA',
  revocations: [],
  lockedOut: [{ key: 'address 192.0.2.9', leftMs: hourMs }],
  conditions: [],
  decisions: { version: 'none', decisions: [] },
  consent: true,
};

interface Away extends Primary {
  answers: boolean;
  asked: number;
}

/** Late until somebody noticed, and then known to be. */
function away(): Away {
  return {
    answers: true,
    asked: 0,
    ask() {
      this.asked += 1;
      this.answers = false;
      return Promise.reject(new ChannelError('late'));
    },
    tell: () => false,
  };
}

const token = { id: 'p-1', issuer: 'i', session: 's-1', tokenId: 't', client: 'c', issuedAt: 0 };

describe('a worker without its primary', () => {
  it('takes no proof and no logout token', async () => {
    const memory = askedMemory(away(), begin, hourMs);
    for (const store of [memory.proofs, memory.logouts])
      await assert.rejects(async () => store.take('holder', 'id', 1_000), ChannelError);
  });

  it('enforces a revocation that it heard, and says that it isn’t kept', async () => {
    const { revocations } = askedMemory(away(), begin, hourMs);
    assert.equal(revocations.isRevoked(token), false);
    await assert.rejects(revocations.add([{ by: 'sid', value: 's-1', issuer: 'i' }]), ChannelError);
    assert.equal(revocations.isRevoked(token), true);
  });

  it('gives its share of a rate, and asks once only', async () => {
    const primary = away();
    const rule = { name: 'r', by: 'address', limit: 8, windowMs: hourMs } as const;
    const rates = new Rates([rule], { keysMax: 100, shared: new AskedRates(primary, 2) });
    let allowed = 0;
    for (let n = 0; n < 10; n++) if ((await rates.takeAddress('192.0.2.1')) === undefined) allowed += 1;
    assert.equal(allowed, 4);
    assert.equal(primary.asked, 1);
  });

  it('keeps out whom it heard of, and counts failures by itself', async () => {
    const settings = { failuresMax: 3, windowMs: hourMs, blockMs: hourMs, blockMsMax: hourMs, keysMax: 100 };
    const lockouts = new HeardLockouts(away(), settings, begin);
    assert.ok(lockouts.blockedMs('address 192.0.2.9') > 0);
    lockouts.hear('address 192.0.2.9', 0);
    assert.equal(lockouts.blockedMs('address 192.0.2.9'), 0);
    for (let n = 0; n < 3; n++) await lockouts.fail('address 192.0.2.8');
    assert.ok(lockouts.blockedMs('address 192.0.2.8') > 0);
  });

  it('lets its share of requests run at once, and gives back what it took', async () => {
    const primary = away();
    const concurrency = new AskedConcurrency(primary, { userMax: 4, clientMax: undefined }, 2);
    const requests = [{}, {}, {}] as const;
    const who = { user: 'u', client: 'c' };
    assert.equal(await concurrency.enter(requests[0], who), undefined);
    assert.equal(await concurrency.enter(requests[1], who), undefined);
    assert.equal(await concurrency.enter(requests[2], who), 'user');
    concurrency.leave(requests[0]);
    assert.equal(await concurrency.enter(requests[2], who), undefined);
    assert.equal(primary.asked, 1);
    assert.equal(concurrency.enter({}, { user: undefined, client: 'c' }), undefined);
  });

  it('leaves the glass whole, and has no consent', async () => {
    const rule = { reasons: new Set(['emergency']), minutes: 30, patientsMax: 2 };
    const question = { rule, issuer: 'i', person: 'p', patient: 'x', reason: 'emergency', nowMs: 0 };
    assert.deepEqual(await new AskedGlass(away()).ask(question), {
      kind: 'refused',
      reason: 'break-glass-unavailable',
    });
    const asked = { patient: 'x', actor: { id: 'p', issuer: 'i', roles: [] }, operation: 'read' };
    await assert.rejects(askedConsent(away())(asked, AbortSignal.timeout(60_000)), ChannelError);
  });

  it('gives back what it was given too late', async () => {
    const told: unknown[] = [];
    const late = (answer: unknown): Primary => ({
      answers: true,
      ask(_name, _body, _deadlineMs, onLate) {
        queueMicrotask(() => queueMicrotask(() => onLate?.(answer)));
        return Promise.reject(new ChannelError('late'));
      },
      tell: (name, body) => told.push([name, body]) > 0,
    });
    const memory = askedMemory(late('new'), begin, hourMs);
    for (const store of [memory.proofs, memory.logouts])
      await assert.rejects(async () => store.take('holder', 'id', 1_000), ChannelError);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told.splice(0), [['logout-release', ['holder', 'id']]]);
    const { firstUses } = askedMemory(late('first'), begin, hourMs);
    assert.equal(await firstUses.take('d'), 'first');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told.splice(0), [['first-use-settled', ['d', false]]]);
    const breaker = { failuresMax: 1, windowMs: hourMs, openMs: 1, openMsMax: 1 };
    const states = [{ upstream: 'u', origin: 'o', well: true, sparedMs: 0 }];
    const conditions = new HeardConditions(late([7, 0]), { settings: () => breaker, states });
    assert.deepEqual(await conditions.of('u', 'o').breaker.admit(), { trial: 0, alone: { trial: 0 } });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, [['upstream-outcome', ['u', 'o', 'unknown', 7]]]);
  });

  it('takes an answer for none that is not one', async () => {
    const strange: Primary = { answers: true, ask: () => Promise.resolve('yes'), tell: () => true };
    const { proofs } = askedMemory(strange, begin, hourMs);
    await assert.rejects(async () => proofs.take('holder', 'id', 1_000));
    assert.equal(
      await new AskedRates(strange, 2).take({ name: 'r', by: 'user', limit: 1, windowMs: 1 }, 'k'),
      undefined,
    );
    await assert.rejects(
      askedConsent(strange)(
        { patient: 'x', actor: { id: 'p', issuer: 'i', roles: [] }, operation: 'read' },
        AbortSignal.timeout(60_000),
      ),
    );
  });
});
