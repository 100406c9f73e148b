import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { formatCheckpoint, generateSigner, openWitnessed, parsePolicy, signNote } from '@watchglass/record';
import { HttpFailure } from '../../world/http.ts';
import { clinic, items } from '../ledger.fixture.ts';
import type { Ledger } from '../ledger.ts';
import {
  game,
  lastingPlace,
  type Mood,
  opened,
  origin,
  ScriptedWitness,
  seed,
  text,
  unreachable,
} from './scripted-witness.fixture.ts';

describe('witnesses of a ledger', () => {
  test('a quorum’s cosignatures are stored, served, and led to by proofs; a restart knows them', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    const [first, second, third] = played.witnesses as [ScriptedWitness, ScriptedWitness, ScriptedWitness];
    third.mood = unreachable;
    {
      await using ledger = await opened(place, 5);
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
      const stored = await readFile(join(place.ledgerDir, 'clinic/cosigned'), 'utf8');
      const { quorum, cosigned, checkpoint } = openWitnessed(stored, parsePolicy(played.policy), [ledger.vkey(clinic)]);
      assert.equal(quorum, true);
      assert.equal(checkpoint.size, 5n);
      assert.deepEqual(
        cosigned.map(({ witness }) => witness.name),
        ['w1', 'w2'],
      );
      assert.equal(Buffer.from((await ledger.resource(clinic, 'checkpoint')) ?? []).toString(), stored);
      assert.equal(Buffer.from((await ledger.resource(clinic, 'cosigned')) ?? []).toString(), stored);
      await ledger.append(clinic, items(place, 1));
      // The newest isn't cosigned yet: it goes out as it is, and proofs lead to where others vouch.
      assert.equal(
        Buffer.from((await ledger.resource(clinic, 'checkpoint')) ?? []).toString(),
        ledger.head(clinic).checkpoint,
      );
      assert.equal((await ledger.prove(clinic, 4)).checkpoint, stored);
      assert.equal((await ledger.prove(clinic, 5)).checkpoint, ledger.head(clinic).checkpoint);
      const [status] = witnessing.status();
      assert.deepEqual(status?.cosigned, { size: 5, timeSeconds: 1_767_225_600, witnesses: 2 });
      assert.equal(status?.witnesses[2]?.fault?.code, 'witness-unreachable');
    }
    third.mood = undefined;
    await using ledger = await place.open();
    assert.equal(ledger.cosigned(clinic)?.size, 5);
    assert.equal(ledger.cosigned(clinic)?.witnesses, 2);
    await using witnessing = played.witnessing(ledger);
    await witnessing.start();
    assert.equal(ledger.cosigned(clinic)?.witnesses, 3);
    // Those who are remembered are asked from where they were; the third had to be found out.
    assert.deepEqual([first.asked, second.asked, third.asked], [[0, 5], [0, 5], [0]]);
    assert.equal((await place.verify()).intact, true);
  });

  test('too few cosignatures are stored nowhere', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    for (const witness of played.witnesses.slice(1)) witness.mood = unreachable;
    await using ledger = await opened(place, 3);
    await using witnessing = played.witnessing(ledger);
    await witnessing.start();
    assert.equal(ledger.cosigned(clinic), undefined);
    assert.equal(await ledger.resource(clinic, 'cosigned'), undefined);
    assert.equal(ledger.state.kind, 'writable');
  });

  const lies: readonly (readonly [string, string, Mood])[] = [
    [
      'answers nothing within the deadline',
      'witness-deadline',
      () => {
        throw new HttpFailure('deadline', 'the deadline passed');
      },
    ],
    [
      'answers without end',
      'witness-too-large',
      () => {
        throw new HttpFailure('too-large', 'more than it may');
      },
    ],
    ['answers rubbish', 'witness-answer-invalid', () => text(200, '<html>hello</html>\n')],
    ['answers nothing', 'witness-answer-invalid', () => text(200, '')],
    ['does not know the log', 'witness-unknown-log', () => text(404, 'unknown')],
    ['trusts another key', 'witness-untrusted-key', () => text(403, 'no')],
    ['refuses', 'witness-refused', ({ method }) => text(method === 'GET' ? 404 : 422, 'no')],
    ['is busy', 'witness-busy', () => text(429, 'later')],
    ['fails', 'witness-failing', () => text(503, 'oops')],
    ['sends elsewhere', 'witness-failing', () => text(302, '')],
    ['names its size badly', 'witness-answer-invalid', () => text(409, 'three\n')],
    [
      'names the size it was asked from',
      'witness-answer-invalid',
      ({ body }) => text(409, `${String(body).slice(4, String(body).indexOf('\n'))}\n`),
    ],
    ['names another size each time', 'witness-answer-invalid', changing()],
    [
      'signs something else',
      'witness-signature-invalid',
      (_request, honest) => {
        const liar = new ScriptedWitness(1);
        honest();
        return text(
          200,
          liar.cosign(
            signNote(formatCheckpoint({ origin, size: 9n, root: seed(1) }), [liar.signer], { timeSeconds: 1n }),
          ),
        );
      },
    ],
    [
      'signs with another key',
      'witness-signature-invalid',
      (request) => {
        const note = String(request.body).slice(String(request.body).indexOf('\n\n') + 2);
        return text(200, new ScriptedWitness(7).cosign(note));
      },
    ],
    [
      'signs without a time',
      'witness-answer-invalid',
      (request) => {
        const note = String(request.body).slice(String(request.body).indexOf('\n\n') + 2);
        return text(200, new ScriptedWitness(1).cosign(note, 0n));
      },
    ],
    [
      'signs in the far future',
      'witness-clock',
      (request) => {
        const note = String(request.body).slice(String(request.body).indexOf('\n\n') + 2);
        return text(200, new ScriptedWitness(1).cosign(note, 9_999_999_999n));
      },
    ],
  ];
  for (const [what, code, mood] of lies) {
    test(`a witness that ${what} is reported and counts for nothing`, async () => {
      await using place = await lastingPlace();
      const played = game(place);
      (played.witnesses[0] as ScriptedWitness).mood = mood;
      await using ledger = await opened(place, 4);
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
      const [status] = witnessing.status();
      assert.equal(status?.witnesses[0]?.fault?.code, code, status?.witnesses[0]?.fault?.message ?? 'none');
      assert.equal(status?.witnesses[0]?.failures, 1);
      // The other two are a quorum all the same.
      assert.equal(ledger.cosigned(clinic)?.size, 4);
      assert.equal(ledger.cosigned(clinic)?.witnesses, 2);
      assert.equal(ledger.state.kind, 'writable');
      assert.ok(
        played.reports.some((line) => line.includes('w1') && line.includes(code)),
        played.reports.join('\n'),
      );
    });
  }

  test('a copy that is older than what a witness cosigned is read-only before anything is written', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    {
      await using ledger = await opened(place, 4);
      await ledger[Symbol.asyncDispose]();
    }
    await using older = await place.copy();
    {
      await using ledger = await place.open();
      await ledger.append(clinic, items(place, 3));
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
      assert.equal(ledger.cosigned(clinic)?.size, 7);
    }
    {
      const again = { ...game(older, [...played.witnesses]) };
      await using ledger = await older.open();
      await using witnessing = again.witnessing(ledger);
      await witnessing.start();
      assert.match(stateReason(ledger), /witness w[123] has cosigned 7 leaves of clinic, the files hold 4/);
      assert.match(stateReason(ledger), /restore the newest copy/);
      await assert.rejects(ledger.append(clinic, items(older, 1)), { code: 'read-only' });
      assert.equal(ledger.head(clinic).size, 4);
    }
    // It was shown a proof, and remembers: also where no witness can be reached at the next start.
    for (const witness of played.witnesses) witness.mood = unreachable;
    {
      await using ledger = await older.open();
      await using witnessing = game(older, [...played.witnesses]).witnessing(ledger);
      await witnessing.start();
      assert.match(stateReason(ledger), /7 leaves of clinic that this log's key signed, and the files hold 4/);
    }
    // The newest copy put back in its place is as good as ever.
    for (const witness of played.witnesses) witness.mood = undefined;
    await rm(older.ledgerDir, { recursive: true });
    await cp(place.ledgerDir, older.ledgerDir, { recursive: true });
    await using ledger = await older.open();
    await using witnessing = game(older, [...played.witnesses]).witnessing(ledger);
    await witnessing.start();
    assert.equal(ledger.state.kind, 'writable');
  });

  test('an older ledger beside the newest memory of witnesses is known without asking; so is one beside a newer cosigned checkpoint', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    {
      await using ledger = await opened(place, 2);
      await ledger[Symbol.asyncDispose]();
    }
    await using older = await place.copy();
    {
      await using ledger = await place.open();
      await ledger.append(clinic, items(place, 3));
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
    }
    for (const witness of played.witnesses) witness.mood = unreachable;
    await cp(join(place.dir, 'witnesses'), join(older.dir, 'witnesses'), { recursive: true });
    {
      await using ledger = await older.open();
      await using witnessing = game(older, [...played.witnesses]).witnessing(ledger);
      await witnessing.start();
      assert.match(
        stateReason(ledger),
        /cosigned 5 leaves of clinic, as witnesses\/clinic.json remembers, and the files hold 2/,
      );
    }
    await cp(join(place.ledgerDir, 'clinic/cosigned'), join(older.ledgerDir, 'clinic/cosigned'));
    await using ledger = await older.open();
    assert.match(stateReason(ledger), /witnesses cosigned 5 leaves of clinic, the files hold 2/);
  });

  test('a log that was rewritten is read-only when the witness shows what it cosigned', async () => {
    await using place = await lastingPlace();
    {
      await using ledger = await opened(place, 2);
      await ledger[Symbol.asyncDispose]();
    }
    await using other = await place.copy();
    const played = game(place);
    {
      await using ledger = await place.open();
      await ledger.append(clinic, items(place, 1, { actor: { id: 'one' } }));
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
    }
    const again = game(other, [...played.witnesses]);
    for (const witness of again.witnesses)
      witness.mood = (request, honest) => (request.method === 'GET' ? honest() : text(422, 'the proof does not hold'));
    await using ledger = await other.open();
    await ledger.append(clinic, items(other, 4, { actor: { id: 'two' } }));
    await using witnessing = again.witnessing(ledger);
    await witnessing.start();
    assert.match(stateReason(ledger), /another tree of 3 leaves of clinic than the files have/);
  });

  test('a bare claim to be ahead counts at the first contact only', async () => {
    await using place = await lastingPlace();
    const claim: Mood = ({ method }) => (method === 'GET' ? text(404, '') : text(409, '1000\n'));
    {
      const played = game(place);
      (played.witnesses[2] as ScriptedWitness).mood = claim;
      await using ledger = await opened(place, 2);
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
      assert.match(
        stateReason(ledger),
        /w3 has cosigned 1000 leaves.*shows no checkpoint; if it errs, take it out of the policy/,
      );
    }
    const played = game(place);
    await using ledger = await place.open();
    await using witnessing = played.witnessing(ledger);
    await witnessing.start();
    const liar = played.witnesses[2] as ScriptedWitness;
    liar.mood = claim;
    await ledger.append(clinic, items(place, 1));
    await played.place.clock.passUntil(() => witnessing.status()[0]?.witnesses[2]?.failures === 1);
    assert.equal(ledger.state.kind, 'writable');
    assert.equal(witnessing.status()[0]?.witnesses[2]?.fault?.code, 'witness-answer-invalid');
  });

  test('a checkpoint that the log’s key did not sign proves nothing', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    const liar = played.witnesses[2] as ScriptedWitness;
    await using ledger = await opened(place, 2);
    await using witnessing = played.witnessing(ledger);
    await witnessing.start();
    const stranger = generateSigner(origin, seed(99));
    const forged = signNote(formatCheckpoint({ origin, size: 1000n, root: seed(3) }), [stranger]);
    liar.mood = ({ method }) => (method === 'GET' ? text(200, forged) : text(409, '1000\n'));
    await ledger.append(clinic, items(place, 1));
    await place.clock.passUntil(() => witnessing.status()[0]?.witnesses[2]?.failures === 1);
    assert.equal(ledger.state.kind, 'writable');
  });

  test('rounds follow growth at most every ten seconds, and an idle log is cosigned again', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    const [first] = played.witnesses as [ScriptedWitness];
    await using ledger = await opened(place, 1);
    await using witnessing = played.witnessing(ledger);
    await witnessing.start();
    const startedMs = place.clock.monotonicMs();
    const asks: number[] = [];
    first.mood = (_request, honest) => {
      asks.push(place.clock.monotonicMs() - startedMs);
      return honest();
    };
    await ledger.append(clinic, items(place, 1));
    await place.clock.passUntil(() => asks.length === 1);
    await ledger.append(clinic, items(place, 1));
    await place.clock.passUntil(() => asks.length === 2);
    // Nothing grows: the next is a fresh time for the same checkpoint.
    await place.clock.passUntil(() => asks.length === 3);
    const [one, two, three] = asks as [number, number, number];
    assert.ok(one >= 10_000 && one <= 60_000, `${asks}`);
    assert.ok(two - one >= 10_000 && two - one <= 60_000, `${asks}`);
    assert.ok(three - two >= 300_000 && three - two <= 420_000, `${asks}`);
  });

  test('a failing witness is asked ever less often, the others as before, and it is told when it is back', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    const [first, second] = played.witnesses as [ScriptedWitness, ScriptedWitness];
    const failing: number[] = [];
    first.mood = () => {
      failing.push(place.clock.monotonicMs());
      return text(503, '');
    };
    await using ledger = await opened(place, 1);
    await using witnessing = played.witnessing(ledger);
    await witnessing.start();
    for (let i = 0; i < 20; i++) {
      await ledger.append(clinic, items(place, 1));
      const { size } = ledger.head(clinic);
      await place.clock.passUntil(() => second.size === size);
    }
    const gaps = failing.slice(1).map((at, i) => at - (failing[i] as number));
    assert.ok(gaps.length >= 3 && gaps.length < 10, `${gaps}`);
    assert.ok((gaps.at(-1) as number) > 2 * (gaps[0] as number), `${gaps}`);
    first.mood = undefined;
    await place.clock.passUntil(() => witnessing.status()[0]?.witnesses[0]?.failures === 0);
    assert.ok(played.reports.some((line) => line.includes('w1 cosigns again')));
    assert.equal(played.reports.filter((line) => line.includes('w1 does not cosign')).length, 1);
  });

  test('a damaged memory of witnesses is told, and they are asked', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    {
      await using ledger = await opened(place, 2);
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
    }
    for (const damaged of ['', '{', '{"v":1}', '{"v":1,"sizes":{"a":{"size":-1,"timeSeconds":1}}}', 'null']) {
      await writeFile(join(place.dir, 'witnesses/clinic.json'), damaged);
      await using ledger = await place.open();
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
      assert.ok(played.reports.pop()?.includes('damaged'), damaged);
      assert.equal(witnessing.status()[0]?.witnesses[0]?.size, 2);
    }
  });

  test('a policy is recorded once, and again when it has changed', async () => {
    await using place = await lastingPlace();
    const played = game(place);
    const recorded: string[] = [];
    for (let run = 0; run < 2; run++) {
      await using ledger = await opened(place, 1);
      await using witnessing = played.witnessing(ledger);
      await witnessing.start();
      await witnessing.recordPolicies(async (_tenant, policy, digest) => {
        recorded.push(digest);
        assert.equal(policy.witnesses.length, 3);
      });
    }
    assert.deepEqual(recorded, [createHash('sha256').update(played.policy).digest('hex')]);
  });
});

function stateReason({ state }: Ledger): string {
  assert.equal(state.kind, 'read-only');
  return state.kind === 'read-only' ? state.reason : '';
}

function changing(): Mood {
  let size = 0;
  return ({ method }) => (method === 'GET' ? text(404, '') : text(409, `${(size++ % 3) + 1}\n`));
}
