/**
 * What workers left behind that no longer exist, since there are fewer of them now: their spools are opened and sent to the end, a goodbye is said in the name of each, and the folder is
 * marked. It stays, for its sequence: a worker that comes back to the slot goes on where the last one ended.
 */
import { access, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openSpool, startSender } from '@watchglass/sdk';
import type { Logger } from 'pino';

import { ownEvent } from './capture/own-event.ts';
import { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { spoolFolderOf } from './config/slots.ts';
import { emitterOf, spoolBytesMin } from './config/workers.ts';
import { doubtsOf, serverOf } from './record-keeping.ts';

const marker = 'retired';
/** The worker of a primary that was killed has its spool for as long as it ends what it has under way. */
const lockedAgainMs = 1_000;

export interface Leftovers extends AsyncDisposable {
  /** Resolves once everything that was left is at the server, or this was disposed of. */
  readonly done: Promise<void>;
}

/** Sends what is left in the folders of slots above `count`, behind everything else. */
export function sendLeftovers(
  config: GatewayConfig,
  count: number,
  { logger }: { readonly logger: Logger },
): Leftovers {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    const { signal } = stopping;
    const left = (await slotsIn(config.spool.dir)).filter((slot) => slot > count);
    for (let slot = left.shift(); slot !== undefined && !signal.aborted; slot = left.shift()) {
      const code = await sendOne(config, slot, { logger, signal }).then(() => undefined, codeOf);
      if (code === undefined || signal.aborted) continue;
      if (code === 'spool-locked') {
        left.push(slot);
        logger.warn({ slot }, 'a worker of before is still leaving; what it leaves behind is sent after it');
        await sleep(lockedAgainMs, undefined, { signal }).catch(() => undefined);
      } else logger.error({ slot, code }, 'what a worker left behind could not be sent; it stays where it is');
    }
  };
  const done = run();
  return {
    done,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await done;
    },
  };
}

/** The slot is in use again. */
export async function unmarkSlot(directory: string): Promise<void> {
  await rm(join(directory, marker), { force: true });
}

async function sendOne(
  config: GatewayConfig,
  slot: number,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const dir = spoolFolderOf(config.spool.dir, slot);
  const mark = join(dir, marker);
  if (
    await access(mark).then(
      () => true,
      () => false,
    )
  )
    return;
  const own = { ...config, emitter: emitterOf(config.emitter, slot) };
  await using stack = new AsyncDisposableStack();
  const spool = stack.use(
    // What it may hold was another's business: what is there is sent.
    await openSpool({
      dir,
      keyFile: config.spool.keyFile,
      maxBytes: Math.max(spoolBytesMin, config.spool.maxBytes),
      emitterId: own.emitter,
    }),
  );
  const recorder = new Recorder({
    spool,
    mode: 'strict',
    deadlineMs: config.audit.deadlineMs,
    ...(config.tenant === undefined ? {} : { tenant: config.tenant }),
  });
  const doubts = doubtsOf(spool, config);
  if (doubts.length > 0 && (await recorder.recordDurably(doubts)).kind === 'unrecorded') return;
  const waiting = spool.status.waitingCount;
  const sender = stack.use(startSender({ spool, ...serverOf(config), writeKey: config.server.writeKey }));
  await sender.drain(signal);
  // Only once the rest is through: while the server is away, each start would say it again.
  const goodbye = ownEvent(own, { operation: 'stop', status: 'success', reason: 'slot-retired' });
  if ((await recorder.recordDurably([goodbye])).kind === 'unrecorded') return;
  await sender.drain(signal);
  await writeFile(mark, '');
  logger.info({ slot, events: waiting }, 'what a worker left behind is at the server');
}

async function slotsIn(directory: string): Promise<readonly number[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .flatMap((name) => /^worker-([1-9]\d{0,3})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}
