/** What an append does to the disk is written down in docs/testing.md, and is exactly that: nobody adds a sync, or takes one away, by accident. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseTenantId, type TenantId } from '@watchglass/record';
import { SimDisk, SimRandom } from '../world/simulated.ts';
import { clinic, item, items, type TestPlace, testPlace } from './ledger.fixture.ts';
import type { AppendItem, Ledger } from './ledger.ts';

/** `write journal` and so on, as the page names it; repeats in a row counted. */
function named(operations: readonly string[]): string[] {
  const names = operations.map((what) => {
    const [, verb = '', path = '', target = path] = what.split(' ');
    const kind = /\/(journal|seeds)\/$|\/tmp\/(seed|checkpoint)-|(\.wgj)$/.exec(
      verb === 'rename' ? path : target === path ? path : path,
    );
    const noun = kind?.[1] ?? kind?.[2] ?? (kind?.[3] === '.wgj' ? 'journal' : path);
    return `${verb} ${noun}`;
  });
  return [...new Set(names)].map((name) => {
    const count = names.filter((other) => other === name).length;
    return count === 1 ? name : `${name} ×${count}`;
  });
}

async function documented(): Promise<Map<string, string[]>> {
  const page = await readFile(new URL('../../../../docs/testing.md', import.meta.url), 'utf8');
  const block = page.slice(page.indexOf('```text\n') + 8);
  const budget = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of block.slice(0, block.indexOf('```')).trimEnd().split('\n')) {
    if (!line.startsWith(' ')) {
      current = [];
      budget.set(line, current);
    } else if (line.trim() !== 'nothing') current.push(line.trim());
  }
  return budget;
}

interface Observed {
  readonly place: TestPlace;
  readonly ledger: Ledger;
  /** What the disk did during `work`. */
  during(work: () => Promise<unknown>): Promise<string[]>;
}

async function observed(tenants: readonly TenantId[]): Promise<Observed> {
  const place = await testPlace();
  await place.remove();
  const disk = new SimDisk(new SimRandom(1));
  let operations: string[] = [];
  disk.onOperation = (what) => operations.push(what);
  const ledger = await place.open({ world: place.world(disk.process()), dir: '/data/ledger', keysDir: '/data/keys' });
  for (const tenant of tenants) await ledger.addTenant(tenant);
  const during = async (work: () => Promise<unknown>): Promise<string[]> => {
    operations = [];
    await work();
    return named(operations);
  };
  return { place, ledger, during };
}

function of(place: TestPlace, tenant: TenantId): AppendItem[] {
  return Array.from({ length: 3 }, () => item(place, { tenant }));
}

test('a group costs one write and one fdatasync, and a checkpoint a log', async () => {
  const budget = await documented();
  const three = [clinic, parseTenantId('hospital'), parseTenantId('lab')];
  const { place, ledger, during } = await observed(three);
  const all = (): Promise<unknown> => Promise.all(three.map((tenant) => ledger.append(tenant, of(place, tenant))));
  await all();
  await all();
  assert.deepEqual(await during(() => ledger.append(clinic, items(place, 500))), budget.get('a group of one log'));
  assert.deepEqual(await during(all), budget.get('a group of three logs'));
  await ledger[Symbol.asyncDispose]();
});

test('what comes besides, once a segment, once a seed, and never for a repeat', async () => {
  const budget = await documented();
  const { place, ledger, during } = await observed([clinic]);
  const sent = items(place, 2);
  const first = await during(() => ledger.append(clinic, sent));
  const besides = [
    ...(budget.get('the first event of a class in a month or after a start, besides') ?? []),
    ...(budget.get('the first group of a segment, besides') ?? []),
  ];
  const usual = budget.get('a group of one log') ?? [];
  assert.deepEqual(
    first.map((line) => line.replace(/ ×2$/, '')),
    [...new Set([...besides, ...usual])],
  );
  assert.ok(
    first.includes('write journal ×2') && first.includes('datasync journal ×2'),
    'the header is durable before the first group, and both are synced once',
  );
  assert.deepEqual(await during(() => ledger.append(clinic, sent)), budget.get('a repeat of what is stored'));
  await ledger[Symbol.asyncDispose]();
});

test('the page names nothing that isn’t held', async () => {
  assert.equal((await documented()).size, 5);
});
