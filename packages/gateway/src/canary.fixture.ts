/** For tests only: values that would identify somebody, and everything that leaves a gateway on the side, where they must not be. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';

import { type Logger, pino } from 'pino';

import type { Fetched, Road } from './gateway.fixture.ts';

/** Each is said at one door: `find` tells through which one a value came that stands somewhere. */
export type Canaries = Readonly<Record<string, string>>;

export class Aside {
  readonly logger: Logger;
  readonly answers: Fetched[] = [];
  readonly #canaries: Canaries;
  readonly #logLines: string[] = [];
  #metrics = '';

  constructor(canaries: Canaries) {
    this.#canaries = canaries;
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#logLines.push(chunk.toString('utf8'));
        done();
      },
    });
    this.logger = pino({ level: 'trace' }, stream);
    process.on('warning', (warning) => this.#logLines.push(String(warning)));
  }

  /** Once everything has been said: the events are at the server, and what the gateway counts is read. */
  async settle(road: Road): Promise<void> {
    await road.settled();
    const pages = ['metrics', 'readyz', 'healthz'].map((page) => fetch(`${road.gateway.adminUrl}/${page}`));
    for (const page of await Promise.all(pages)) this.#metrics += await page.text();
  }

  find(what: string, text: string): void {
    const lower = text.toLowerCase();
    for (const [door, canary] of Object.entries(this.#canaries))
      assert.equal(lower.includes(canary.toLowerCase()), false, `${door} in ${what}`);
  }

  /** In the clear, as they are before anything of them is sealed. `except` says which names of operations were asked for. */
  findInEvents({ events }: Pick<Road, 'events'>, except: readonly string[] = []): void {
    for (const event of events)
      if (!except.includes(event.operation ?? '')) this.find(`event ${event.operation}`, JSON.stringify(event));
  }

  findInLogsAndMetrics(): void {
    assert.ok(this.#logLines.length > 0);
    this.find('the log', this.#logLines.join(''));
    assert.ok(this.#metrics.includes('watchglass_gateway_refusals_total'));
    this.find('the metrics', this.#metrics);
  }

  /** What the gateway itself wrote. Returns how many answers that were. */
  findInOwnAnswers(): number {
    const own = this.answers.filter(
      ({ headers, json }) =>
        String(headers['content-type']).includes('problem+json') || json.resourceType === 'OperationOutcome',
    );
    for (const { text, headers } of own) this.find('an answer', text + JSON.stringify(headers));
    return own.length;
  }

  /** `ids` are what an event may hold: there not even they are readable. Returns how many bytes that were. */
  async findOnDisk({ folder }: Pick<Road, 'folder'>, ids: readonly string[]): Promise<number> {
    const names = await readdir(join(folder, 'spool'), { recursive: true, withFileTypes: true });
    let bytes = 0;
    for (const name of names.filter((entry) => entry.isFile())) {
      const content = await readFile(join(name.parentPath, name.name));
      bytes += content.length;
      this.find(name.name, content.toString('latin1'));
      for (const id of ids) assert.equal(content.includes(id), false, `${id} in ${name.name}`);
    }
    return bytes;
  }
}
