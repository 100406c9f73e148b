/**
 * The smallest way to record from one's own process: `capture` minimises, spools, and resolves once the event is durable here; sending
 * goes on behind it.
 *
 *     const watchglass = await createClient({ url: 'https://audit.example', writeKey: 'wgk_…', dir: './spool' });
 *     await watchglass.capture({ kind: 'api', action: 'read', outcome: { status: 'success' }, actor: { id: 'dr-ada' } });
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { type Event, type MinimisationPolicy, uuidv7 } from '@watchglass/record';

import { minimiseOutgoing } from './outgoing.ts';
import type { ReceiptFailure } from './receipt-sample.ts';
import { type Rechecker, startRechecker } from './rechecker.ts';
import { type Sender, startSender } from './sender.ts';
import { openSpool, type Spool } from './spool.ts';

/** What the application says about an interaction; the client adds the rest. */
export type CapturedEvent = Omit<Event, 'v' | 'id' | 'time' | 'tenant' | 'emitter'> & {
  /** UUIDv7; made where there is none. */
  readonly id?: string;
  /** RFC 3339, UTC; now where there is none. */
  readonly time?: string;
};

export interface ClientOptions {
  /** The server's URL. */
  readonly url: string;
  readonly writeKey: string;
  /** Where events wait; belongs to this process alone. */
  readonly dir: string;
  /** Names this installation and slot. Default `sdk:<host name>`. */
  readonly emitterId?: string;
  /** Default 256 MiB. */
  readonly maxBytes?: number;
  readonly ca?: string;
  readonly minimisation?: MinimisationPolicy;
  /** The verifier key of the server's log to begin with; the first one seen unless given. */
  readonly vkey?: string;
  /** Called once for every failure: what the server acknowledged is not in its log any more. Without it, `receipts.status` tells. */
  readonly onReceiptFailed?: (failure: ReceiptFailure) => void;
}

export interface Client extends AsyncDisposable {
  readonly spool: Spool;
  readonly sender: Sender;
  /** Checks now and then that what was acknowledged is still in the log. */
  readonly receipts: Rechecker;
  /** Resolves to the event's id once it is durable in the spool. Throws `spool-full` and the like: then nothing was recorded. */
  capture(event: CapturedEvent): Promise<string>;
}

export async function createClient(options: ClientOptions): Promise<Client> {
  const spool = await openSpool({
    dir: options.dir,
    keyFile: join(options.dir, 'spool.key'),
    maxBytes: options.maxBytes ?? 256 * 1024 * 1024,
    emitterId: options.emitterId ?? `sdk:${hostname()}`,
  });
  await using opened = new AsyncDisposableStack();
  opened.use(spool);
  const server = { serverUrl: options.url, ...(options.ca === undefined ? {} : { ca: options.ca }) };
  const receipts = opened.use(
    await startRechecker({
      ...server,
      dir: options.dir,
      ...(options.vkey === undefined ? {} : { vkey: options.vkey }),
      ...(options.onReceiptFailed === undefined ? {} : { onReceiptFailed: options.onReceiptFailed }),
    }),
  );
  const onReceipts: typeof receipts.note = (given, checkpoint) => receipts.note(given, checkpoint);
  const sender = opened.use(startSender({ spool, ...server, writeKey: options.writeKey, onReceipts }));
  const resources = opened.move();
  return {
    spool,
    sender,
    receipts,
    async capture(event) {
      const nowMs = Date.now();
      const { id = uuidv7(nowMs, randomBytes(10)), time = new Date(nowMs).toISOString(), ...rest } = event;
      const policy = options.minimisation;
      await spool.append([minimiseOutgoing({ v: 1, id, time, ...rest }, policy === undefined ? {} : { policy })]);
      return id;
    },
    async [Symbol.asyncDispose]() {
      await resources.disposeAsync();
    },
  };
}
