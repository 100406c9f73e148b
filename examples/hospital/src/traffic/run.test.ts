import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFhirHandler } from '../fhir/handler.ts';
import { Store } from '../fhir/store.ts';
import { patientsOf, type Resource, valuesAt } from '../resource.ts';
import { type Roster, rosterOf, writeRoster } from '../roster.ts';
import { type Day, parseDay } from '../world/calendar.ts';
import { generateHospital } from '../world/hospital.ts';
import type { Label } from './labels.ts';
import { runTraffic, type TrafficOptions } from './run.ts';

interface Seen {
  readonly requestId: string;
  readonly person: string;
  readonly address: string;
  readonly method: string;
  readonly target: string;
  readonly status: number;
  /** Ids of the patients in the answer. */
  readonly patients: readonly string[];
}

/** Stands where the gateway does: real HTTP, refuses unknown bearer tokens, numbers requests, and asks the hospital. */
class StandIn {
  readonly seen: Seen[] = [];
  tokens: ReadonlyMap<string, string> = new Map();
  refused = 0;
  readonly #server: Server;
  readonly #waiters: { readonly enough: () => boolean; readonly resolve: () => void }[] = [];
  #serial = 0;

  constructor(resources: readonly Resource[]) {
    const now = (): Date => new Date('2026-03-04T12:00:00Z');
    const store = new Store(now);
    for (const resource of resources) store.load(resource);
    const handler = createFhirHandler(store, now);
    this.#server = createServer((request, response) => {
      const chunks: Uint8Array[] = [];
      request.on('data', (chunk: Uint8Array) => chunks.push(chunk));
      request.on('end', () => {
        const person = this.tokens.get(request.headers.authorization ?? '');
        if (person === undefined) {
          this.refused++;
          response.writeHead(401).end();
          this.#tell();
          return;
        }
        const url = new URL(request.url ?? '/', 'http://gateway.invalid');
        const headers = Object.fromEntries(
          Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
        );
        const path = url.pathname.slice('/fhir'.length);
        const answer = handler.handle({
          method: request.method ?? '',
          path,
          query: url.searchParams,
          headers,
          body: Buffer.concat(chunks),
          base: 'http://elsewhere.invalid/fhir',
        });
        const requestId = `r-${++this.#serial}`;
        const listed = valuesAt(answer.body, 'entry.resource') as Resource[];
        const patients =
          listed.length > 0
            ? listed.flatMap(patientsOf)
            : answer.status < 300 && answer.body !== undefined
              ? patientsOf(answer.body as Resource)
              : [];
        this.seen.push({
          requestId,
          person,
          address: request.socket.remoteAddress ?? '',
          method: request.method ?? '',
          target: url.pathname,
          status: answer.status,
          patients,
        });
        response.writeHead(answer.status, {
          ...answer.headers,
          'x-request-id': requestId,
          'content-type': 'application/fhir+json',
        });
        response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
        this.#tell();
      });
    });
  }

  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Resolves once the condition holds after a request. */
  until(enough: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ enough, resolve });
      this.#tell();
    });
  }

  #tell(): void {
    for (const waiter of this.#waiters) if (waiter.enough()) waiter.resolve();
  }
}

interface Place {
  readonly standIn: StandIn;
  readonly roster: Roster;
  readonly files: { readonly roster: string; readonly tokens: string; readonly labels: string };
  /** Gives everybody a new token; the file says so at once. */
  issue(generation: string): Promise<void>;
}

async function place(t: TestContext): Promise<Place> {
  const hospital = generateHospital({
    seed: 'traffic',
    today: parseDay('2026-03-04') as Day,
    patients: 130,
    staff: 20,
  });
  const roster = rosterOf(hospital, hospital.resources);
  const standIn = new StandIn(hospital.resources);
  const directory = await mkdtemp(join(tmpdir(), 'hospital-traffic-'));
  t.after(async () => {
    await standIn.close();
    await rm(directory, { recursive: true, force: true });
  });
  const files = {
    roster: join(directory, 'roster.json'),
    tokens: join(directory, 'tokens.json'),
    labels: join(directory, 'labels.ndjson'),
  };
  await writeRoster(files.roster, roster);
  const issue = async (generation: string): Promise<void> => {
    const people = roster.staff.map(({ id, username }) => ({ id, username, token: `${generation}.${id}` }));
    standIn.tokens = new Map(people.map(({ id, token }) => [`Bearer ${token}`, id]));
    await writeFile(`${files.tokens}.new`, JSON.stringify({ people }));
    await rename(`${files.tokens}.new`, files.tokens);
  };
  return { standIn, roster, files, issue };
}

function options(at: Place, port: number, signal: AbortSignal, more: Partial<TrafficOptions> = {}): TrafficOptions {
  return {
    gateway: `http://127.0.0.1:${port}`,
    caFile: undefined,
    tokensFile: at.files.tokens,
    rosterFile: at.files.roster,
    seed: 'traffic',
    rate: 300,
    misuse: [],
    misuseAfterMs: 1,
    misuseEveryMs: 60_000,
    labelsFile: undefined,
    durationMs: undefined,
    diurnal: false,
    signal,
    print: () => undefined,
    ...more,
  };
}

test('ordinary work is done by the right people from their own addresses, and almost all of it follows a relationship', async (t) => {
  const at = await place(t);
  await at.issue('a');
  const stop = new AbortController();
  const running = runTraffic(options(at, await at.standIn.listen(), stop.signal));
  await at.standIn.until(() => at.standIn.seen.length >= 400);
  stop.abort();
  const { requests, labels } = await running;
  assert.ok(requests > 0 && requests <= at.standIn.seen.length);
  assert.equal(labels, 0);

  const staff = new Map(at.roster.staff.map((person) => [person.id, person]));
  const { seen } = at.standIn;
  const roles = new Set(seen.map((one) => staff.get(one.person)?.role));
  assert.deepEqual([...roles].sort(), ['billing', 'nurse', 'physician', 'registration']);
  if (process.platform === 'linux') for (const one of seen) assert.equal(one.address, staff.get(one.person)?.address);
  const bad = seen.filter((one) => one.status >= 400 && one.status !== 412);
  assert.deepEqual(bad, [], 'only two people updating the same thing at once may be refused');
  assert.ok(seen.some((one) => one.method === 'POST') && seen.some((one) => one.method === 'PUT'));

  const clinical = seen.filter(
    (one) => ['physician', 'nurse'].includes(staff.get(one.person)?.role ?? '') && one.patients.length > 0,
  );
  const explained = clinical.filter((one) => {
    const { appointments = [], panel = [], stays = [] } = at.roster.worklists[one.person] ?? {};
    const mine = new Set([...panel, ...[...appointments, ...stays].map(({ patient }) => patient)]);
    return one.patients.every((patient) => mine.has(patient));
  });
  assert.ok(explained.length >= clinical.length * 0.95, `${explained.length} of ${clinical.length}`);
});

test('each request of misuse has a label that names the request, the person and the patients', async (t) => {
  const at = await place(t);
  await at.issue('a');
  const stop = new AbortController();
  const port = await at.standIn.listen();
  const running = runTraffic(
    options(at, port, stop.signal, { rate: 5, misuse: ['bulk-read', 'sequential-ids'], labelsFile: at.files.labels }),
  );
  // Two pages show all 130 patients; some records and some counted ids after that.
  const pages = (): number =>
    at.standIn.seen.filter((one) => one.patients.length > 25 && one.target === '/fhir/Patient').length;
  await at.standIn.until(() => pages() >= 2 && at.standIn.seen.length >= 25);
  stop.abort();
  const { labels } = await running;

  const written = (await readFile(at.files.labels, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Label);
  assert.equal(written.length, labels);
  assert.deepEqual(new Set(written.map((label) => label.scenario)), new Set(['bulk-read', 'sequential-ids']));
  const seen = new Map(at.standIn.seen.map((one) => [one.requestId, one]));
  for (const label of written) {
    const request = seen.get(label.requestId ?? '');
    assert.equal(request?.person, label.person);
    assert.equal(request?.status, label.status);
    if (label.patient !== undefined && label.scenario === 'sequential-ids')
      assert.equal(request?.target, `/fhir/Patient/${label.patient}`);
    assert.ok(Math.abs(Date.parse(label.at) - Date.now()) < 60_000);
  }
  const listed = new Set(written.flatMap((label) => label.patients ?? []));
  assert.equal(listed.size, 130);
  const counted = written
    .filter((label) => label.scenario === 'sequential-ids')
    .map((label) => Number(label.patient?.slice(-6)));
  assert.ok(
    counted.every(
      (id, index) => index === 0 || (id > (counted[index - 1] ?? 0) && id - (counted[index - 1] ?? 0) <= 3),
    ),
  );
});

test('work outlives a restart of the gateway', async (t) => {
  const at = await place(t);
  await at.issue('a');
  const stop = new AbortController();
  const port = await at.standIn.listen();
  const lines: string[] = [];
  const running = runTraffic(options(at, port, stop.signal, { rate: 200, print: (line) => lines.push(line) }));
  await at.standIn.until(() => at.standIn.seen.length >= 20);
  await at.standIn.close();
  const before = at.standIn.seen.length;
  await at.standIn.listen(port);
  await at.standIn.until(() => at.standIn.seen.length >= before + 20);
  stop.abort();
  await running;
  assert.match(
    lines.at(-1) ?? '',
    /^traffic: \d+ requests \([\d.]+\/s\), \d+ ok, \d+ denied, \d+ failed, \d+ unreachable, misuse 0, p50 \d+ ms, p95 \d+ ms$/,
  );
});

test('refused tokens are looked up again in the file, and missing ones are waited for', async (t) => {
  const at = await place(t);
  const stop = new AbortController();
  const port = await at.standIn.listen();
  const running = runTraffic(options(at, port, stop.signal));
  await at.issue('a');
  await at.standIn.until(() => at.standIn.seen.length >= 10);
  const refusedBefore = at.standIn.refused;
  const before = at.standIn.seen.length;
  await at.issue('b');
  await at.standIn.until(() => at.standIn.seen.length >= before + 30);
  assert.ok(at.standIn.refused >= refusedBefore);
  stop.abort();
  await running;
});

test('it stops by itself when its time is over', async (t) => {
  const at = await place(t);
  await at.issue('a');
  const port = await at.standIn.listen();
  const began = performance.now();
  await runTraffic(options(at, port, new AbortController().signal, { durationMs: 300 }));
  assert.ok(performance.now() - began >= 290);
});
