/**
 * The main road, walked once: a physician reads a patient through the gateway, the read is found by the search, and it is proven. What
 * `demo --once` does, and what tells a newcomer's machine from a broken one.
 */

import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { Agent, fetch } from 'undici';
import { openClient } from '../client.ts';
import { prove } from '../commands/prove.ts';
import { queryOf } from '../commands/search.ts';
import { findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type FoundEvent, parseFound } from '../event-line.ts';
import type { Io } from '../io.ts';
import type { DemoFile } from './demo-file.ts';

const findWithinMs = 10_000;

export interface Road {
  readonly patient: string;
  readonly index: number;
  /** From the answer of the gateway until the search found it. */
  readonly foundAfterMs: number;
  readonly proven: true;
  readonly sentence: string;
}

export async function tryTheRoad(options: {
  readonly file: DemoFile;
  readonly dataDir: string;
  readonly patient: string;
  readonly io: Io;
}): Promise<Road> {
  const { file, dataDir, patient, io } = options;
  const physician = file.people.find(({ role }) => role === 'physician');
  if (physician === undefined) throw new CliError('child-failed', 'the demo has no physician');
  const from = new Date(Date.now() - 1_000).toISOString();
  await readThrough(`${file.urls.gateway}/fhir/Patient/${patient}`, physician.token, await readFile(file.ca, 'utf8'));
  const answeredMs = performance.now();
  const event = await findRead({ dataDir, patient, from, io });
  const foundAfterMs = Math.round(performance.now() - answeredMs);
  const proof: string[] = [];
  const quiet: Io = { ...io, stdout: { write: (text: string) => proof.push(text) }, stderr: { write: () => {} } };
  await prove(event.index, { data: dataDir, json: true }, quiet);
  return {
    patient,
    index: event.index,
    foundAfterMs,
    proven: true,
    sentence: `${physician.username} read Patient/${patient} through the gateway; found ${foundAfterMs} ms later as event ${event.index}, and proven to be in the log.`,
  };
}

async function readThrough(url: string, token: string, ca: string): Promise<void> {
  const agent = new Agent({ connect: { ca } });
  try {
    const response = await fetch(url, { dispatcher: agent, headers: { authorization: `Bearer ${token}` } });
    const body = await response.text();
    if (response.status !== 200) {
      throw new CliError(
        'child-failed',
        `expected 200 from the gateway, got ${response.status}: ${body.slice(0, 300)}`,
      );
    }
  } finally {
    await agent.destroy();
  }
}

async function findRead(options: { dataDir: string; patient: string; from: string; io: Io }): Promise<FoundEvent> {
  const { dataDir, patient, from, io } = options;
  await using client = openClient(await findConnection({ data: dataDir }, io));
  const untilMs = performance.now() + findWithinMs;
  const query = { ...queryOf({ patient, kind: 'api', operation: 'read', outcome: 'success', from }), limit: 1 };
  for (;;) {
    const answer = (await client.postJson('/v1/events/search', query, io.signal)) as { events?: unknown[] };
    const [found] = answer.events ?? [];
    if (found !== undefined) return parseFound(found);
    if (performance.now() > untilMs) {
      throw new CliError(
        'not-found-again',
        `the read of Patient/${patient} was not found within ${findWithinMs / 1_000} s`,
        {
          remedy: `Look into ${dataDir}/demo/gateway.log and server.log.`,
        },
      );
    }
    await wait(50, undefined, { signal: io.signal });
  }
}
