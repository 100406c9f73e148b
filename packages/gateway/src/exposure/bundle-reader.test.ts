/** A Bundle that passes tells what it tells as a whole, and says so when it doesn't. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { BundleReader } from './bundle-reader.ts';
import { type Learned, learnExposure } from './exposure.ts';

const observation = (id: string, patient: string): object => ({
  resourceType: 'Observation',
  id,
  valueQuantity: { value: 1.5 },
  note: [{ text: 'said "}]" and \\ more' }],
  subject: { reference: `Patient/${patient}` },
});

const bundle = (count: number, more: object = {}): string =>
  JSON.stringify({
    resourceType: 'Bundle',
    type: 'searchset',
    link: [{ relation: 'next', url: 'http://x/fhir?_getpages=1' }],
    entry: Array.from({ length: count }, (_, n) => ({
      fullUrl: `http://x/fhir/Observation/o-${n}`,
      resource: observation(`o-${n}`, `p-${n}`),
      search: { mode: 'match' },
    })),
    ...more,
  });

function read(
  text: string,
  options: { at?: number; size?: number; pieceBytesMax?: number; complete?: boolean } = {},
): Promise<Learned> {
  const { at = 200, size = 64, pieceBytesMax = 4_096, complete = true } = options;
  const bytes = Buffer.from(text);
  const reader = new BundleReader(bytes.subarray(0, at), { pieceBytesMax });
  for (let from = at; from < bytes.length; from += size) reader.push(bytes.subarray(from, from + size));
  return reader.finish(complete);
}

const idsOf = ({ exposure }: Learned): string[] => (exposure.patients ?? []).map(({ id }) => id);

describe('a Bundle that passes', () => {
  it('with its beginning names everybody whom the whole names, wherever it is cut', async () => {
    const text = bundle(6);
    const all = Array.from({ length: 6 }, (_, n) => `p-${n}`);
    for (let at = 1; at < text.length; at += 1) {
      const first = learnExposure(Buffer.from(text).subarray(0, at), {
        contentType: 'application/fhir+json',
        complete: false,
      });
      const rest = await read(text, { at, size: 1 + (at % 90) });
      assert.deepEqual([...new Set([...idsOf(first), ...idsOf(rest)])].sort(), all, String(at));
      assert.equal(rest.exposure.truncated, undefined);
      const count = (first.exposure.count ?? 0) + (rest.exposure.count ?? 0);
      // The entry that was cut off is counted in both.
      assert.ok(count === 6 || count === 7, String(count));
    }
  });

  it('tells the classes of what is in it', async () => {
    const { exposure } = await read(bundle(3), { at: 1 });
    assert.deepEqual(exposure.patients?.[0], { id: 'p-0', classes: ['results'], count: 1 });
  });

  it('is read in its other members, too', async () => {
    const signature = { who: { reference: 'Patient/p-signer' } };
    assert.ok(idsOf(await read(bundle(3, { signature }))).includes('p-signer'));
    const last = JSON.stringify({ entry: [{ resource: observation('o', 'p-1') }], resourceType: 'Bundle' });
    assert.deepEqual(idsOf(await read(last, { at: 3 })), ['p-1']);
  });

  it('may be Parameters', async () => {
    const parameter = [1, 2, 3].map((n) => ({ name: 'r', resource: observation(`o-${n}`, `p-${n}`) }));
    const learned = await read(JSON.stringify({ resourceType: 'Parameters', parameter }), { at: 40 });
    assert.deepEqual([idsOf(learned), learned.exposure.truncated], [['p-1', 'p-2', 'p-3'], undefined]);
  });

  it('is truncated where it is cut off, unsound, something else, or has an entry above the bound', async () => {
    const text = bundle(6);
    const cases: Record<string, Promise<Learned>> = {
      'cut off': read(text.slice(0, -20), { complete: false }),
      'ended early': read(text.slice(0, -2)),
      'something behind': read(`${text}{}`),
      'a member twice': read(text.replace(/\}$/, ',"entry":[]}')),
      'a member twice inside': read(text.replace('"id":"o-4"', '"id":"o-4","id":"o-9"')),
      'no Bundle': read(text.replace('"Bundle"', '"Group"')),
      'a list': read(`[${text}]`),
      'no JSON inside': read(text.replace('"id":"o-4"', '"id":oops')),
      'no JSON in its beginning': read(text.replace('"id":"o-0"', '"id":oops'), { at: 700 }),
      'a long entry': read(text, { pieceBytesMax: 100 }),
    };
    for (const [what, learned] of Object.entries(cases)) assert.equal((await learned).exposure.truncated, true, what);
    const long = await read(text.replace('"id":"o-4"', `"id":"o-4","x":"${'y'.repeat(5_000)}"`));
    assert.deepEqual([idsOf(long).includes('p-5'), long.exposure.truncated], [true, true]);
  });

  it('takes no more memory the longer it is', async () => {
    const fixture = fileURLToPath(new URL('./long-bundle.fixture.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=64', fixture]);
    assert.deepEqual(JSON.parse(stdout), { patients: 40, count: 60_000, truncated: true });
  });
});
