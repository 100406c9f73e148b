/** Asking for consent: what is an answer, what is kept, and what a service that is slow or broken costs. */
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { afterEach, describe, it } from 'node:test';

import { type Listening, serve } from '../gateway.fixture.ts';
import { answersMax, ConsentDesk, type ConsentQuestion } from './consent.ts';
import { eveningMs } from './policy.fixture.ts';
import type { ConsentRule } from './tables.ts';

const rule: ConsentRule = { url: undefined, timeoutMs: 2_000, cacheSeconds: 30, patientsMax: 100, onFailure: 'deny' };
const about = (patient: string): ConsentQuestion => ({
  patient,
  actor: { id: 'dr-ito', issuer: 'https://idp.example', roles: ['physician'] },
  operation: 'read',
  type: 'Patient',
});

let service: Listening | undefined;

afterEach(async () => {
  await service?.close();
  service = undefined;
});

async function serving(listener: RequestListener, timeoutMs = 2_000): Promise<ConsentRule> {
  service = await serve(listener);
  return { ...rule, url: service.url, timeoutMs };
}

describe('consent', () => {
  it('is asked of the service with the question, and one no is enough', async () => {
    const asked: unknown[] = [];
    const of = await serving((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const question = JSON.parse(Buffer.concat(chunks).toString('utf8')) as ConsentQuestion;
        asked.push(question);
        response.end(JSON.stringify({ permit: question.patient !== 'p-9' }));
      });
    });
    await using desk = new ConsentDesk();
    assert.equal(await desk.askAll(of, [about('p-1'), about('p-2')]), 'permitted');
    assert.equal(await desk.askAll(of, [about('p-1'), about('p-9')]), 'denied');
    assert.deepEqual(asked, [about('p-1'), about('p-2'), about('p-9')]);
  });

  it('has no other answer than permit, true or false', async () => {
    const bodies = [
      '{"permit":"true"}',
      '{}',
      'true',
      '',
      '{"permit":1}',
      `{"permit":true,"x":"${'x'.repeat(70_000)}"}`,
    ];
    for (const body of bodies) {
      const of = await serving((_request, response) => response.end(body));
      await using desk = new ConsentDesk();
      assert.equal(await desk.askAll(of, [about('p-1')]), 'unavailable', body.slice(0, 20));
      await service?.close();
    }
    const of = await serving((_request, response) => response.writeHead(500).end('{"permit":true}'));
    await using desk = new ConsentDesk();
    assert.equal(await desk.askAll(of, [about('p-1')]), 'unavailable');
  });

  it('is not waited for beyond the deadline', async () => {
    const of = await serving(() => undefined, 30);
    await using desk = new ConsentDesk();
    assert.equal(await desk.askAll(of, [about('p-1')]), 'unavailable');
    await using hooked = new ConsentDesk({ hook: () => new Promise<boolean>(() => undefined) });
    assert.equal(await hooked.askAll({ ...rule, timeoutMs: 5 }, [about('p-1')]), 'unavailable');
  });

  it('is unavailable where there is nobody to ask', async () => {
    await using desk = new ConsentDesk();
    assert.equal(await desk.askAll(rule, [about('p-1')]), 'unavailable');
    assert.equal(await desk.askAll(rule, []), 'permitted');
  });

  it('of a hook that throws at once is unavailable that once, and not for good', async () => {
    let fail = true;
    await using desk = new ConsentDesk({
      hook: () => {
        if (fail) throw new Error('down');
        return Promise.resolve(true);
      },
    });
    assert.equal(await desk.askAll(rule, [about('p-1')]), 'unavailable');
    fail = false;
    assert.equal(await desk.askAll(rule, [about('p-1')]), 'permitted');
  });

  it('is kept for its seconds; a failure is not', async () => {
    let calls = 0;
    let nowMs = eveningMs;
    let fail = true;
    await using desk = new ConsentDesk({
      nowMs: () => nowMs,
      hook: () => {
        calls += 1;
        return fail ? Promise.reject(new Error('down')) : Promise.resolve(true);
      },
    });
    assert.equal(await desk.askAll(rule, [about('p-1')]), 'unavailable');
    fail = false;
    assert.equal(await desk.askAll(rule, [about('p-1'), about('p-1')]), 'permitted');
    assert.equal(calls, 2);
    nowMs += 29_999;
    await desk.askAll(rule, [about('p-1')]);
    assert.equal(calls, 2);
    nowMs += 1;
    await desk.askAll(rule, [about('p-1')]);
    assert.equal(calls, 3);
  });

  it('is kept for a bounded number of questions', async () => {
    let calls = 0;
    await using desk = new ConsentDesk({
      nowMs: () => eveningMs,
      hook: () => {
        calls += 1;
        return Promise.resolve(true);
      },
    });
    for (let from = 0; from <= answersMax; from += 500)
      await desk.askAll(
        rule,
        Array.from({ length: 500 }, (_, at) => about(`p-${from + at}`)),
      );
    const before = calls;
    await desk.askAll(rule, [about('p-0')]);
    assert.equal(calls, before + 1);
    await desk.askAll(rule, [about(`p-${answersMax}`)]);
    assert.equal(calls, before + 1);
  });
});
