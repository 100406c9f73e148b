/**
 * One connection to Redis, for a few commands that must be answered within a deadline or count as not answered: nobody waits for a connection, for a queue or
 * for a server that hangs. After any fault the connection is made anew, with growing pauses. RESP2; at most `pendingMax` commands are under way.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface RedisSettings {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly ca?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database: number;
  readonly deadlineMs: number;
}

export type Reply = string | number | null | readonly Reply[];

const pendingMax = 10_000;
const pauseMsMax = 5_000;
const firstPauseMs = 100;
const connectMsMax = 2_000;

interface Pending {
  readonly resolve: (reply: Reply | undefined) => void;
  readonly sentMs: number;
}

export class RedisConnection implements Disposable {
  readonly #settings: RedisSettings;
  readonly #prepare: (ask: (...words: readonly string[]) => Promise<Reply | undefined>) => Promise<boolean>;
  readonly #onChange: (ready: boolean) => void;
  readonly #pending: Pending[] = [];
  #socket: Socket | undefined;
  #ready = false;
  #told: boolean | undefined;
  #closed = false;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #unread: Buffer = Buffer.alloc(0);

  /** `prepare` runs on each new connection, after signing in; where it says false the connection is given up. */
  constructor(
    settings: RedisSettings,
    options: {
      readonly prepare: (ask: (...words: readonly string[]) => Promise<Reply | undefined>) => Promise<boolean>;
      readonly onChange: (ready: boolean) => void;
    },
  ) {
    this.#settings = settings;
    this.#prepare = options.prepare;
    this.#onChange = options.onChange;
    this.#connect();
  }

  /** Whether commands are answered now. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Undefined where there was no answer in time, or an error. Never rejects. */
  ask(...words: readonly string[]): Promise<Reply | undefined> {
    return this.#ready ? this.#send(words) : Promise.resolve(undefined);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#fail();
  }

  #connect(): void {
    const { host, port, tls, ca } = this.#settings;
    const socket = tls
      ? connectTls({
          host,
          port,
          ...(host.includes(':') ? {} : { servername: host }),
          ...(ca === undefined ? {} : { ca }),
        })
      : connectPlain({ host, port });
    this.#socket = socket;
    this.#unread = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.unref();
    const late = setTimeout(() => socket.destroy(), connectMsMax);
    late.unref();
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.once('close', () => {
      clearTimeout(late);
      if (this.#socket === socket) this.#fail();
    });
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      void this.#greet().then((good) => {
        clearTimeout(late);
        if (!good || this.#socket !== socket) return socket.destroy();
        this.#ready = true;
        this.#told = true;
        this.#pauseMs = firstPauseMs;
        this.#onChange(true);
        return undefined;
      });
    });
  }

  async #greet(): Promise<boolean> {
    const { username, password, database } = this.#settings;
    if (password !== undefined) {
      const words = username === undefined ? ['AUTH', password] : ['AUTH', username, password];
      if ((await this.#send(words)) !== 'OK') return false;
    }
    if (database !== 0 && (await this.#send(['SELECT', String(database)])) !== 'OK') return false;
    return this.#prepare((...words) => this.#send(words));
  }

  #send(words: readonly string[]): Promise<Reply | undefined> {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed || this.#pending.length >= pendingMax)
      return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<Reply | undefined>();
    this.#pending.push({ resolve, sentMs: performance.now() });
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
    this.#watchOldest();
    return promise;
  }

  /** One timer for all: answers come in order, so the oldest is late first. */
  #watchOldest(): void {
    if (this.#watch !== undefined) return;
    const [oldest] = this.#pending;
    if (oldest === undefined) return;
    const leftMs = oldest.sentMs + this.#settings.deadlineMs - performance.now();
    this.#watch = setTimeout(
      () => {
        this.#watch = undefined;
        const [late] = this.#pending;
        if (late !== undefined && performance.now() - late.sentMs >= this.#settings.deadlineMs) this.#fail();
        else this.#watchOldest();
      },
      Math.max(1, Math.ceil(leftMs)),
    );
    this.#watch.unref();
  }

  #read(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    let from = 0;
    for (;;) {
      const parsed = parseReply(this.#unread, from);
      if (parsed === 'incomplete') break;
      const next = parsed === 'broken' ? undefined : this.#pending.shift();
      // More answers than questions, or none of this protocol: nothing on this connection can be believed.
      if (parsed === 'broken' || next === undefined) {
        this.#fail();
        return;
      }
      from = parsed.end;
      next.resolve(parsed.reply);
    }
    this.#unread = this.#unread.subarray(from);
  }

  /** Everybody who waits is told at once, and the connection is made anew. */
  #fail(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    clearTimeout(this.#watch);
    this.#watch = undefined;
    for (const { resolve } of this.#pending.splice(0)) resolve(undefined);
    this.#ready = false;
    if (this.#closed) return;
    // The first connection that comes to nothing is told too.
    if (this.#told !== false) this.#onChange(false);
    this.#told = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), this.#pauseMs);
    this.#timer.unref();
    this.#pauseMs = Math.min(pauseMsMax, this.#pauseMs * 2);
  }
}

type Parsed = { readonly reply: Reply | undefined; readonly end: number } | 'incomplete' | 'broken';

const replyBytesMax = 64 * 1024;

/** A reply at `from`; that of an error is undefined. Exported for its test. */
export function parseReply(bytes: Buffer, from: number, depth = 0): Parsed {
  const lineEnd = bytes.indexOf('\r\n', from);
  if (lineEnd < 0) return bytes.length - from > replyBytesMax ? 'broken' : 'incomplete';
  const line = bytes.toString('utf8', from + 1, lineEnd);
  const end = lineEnd + 2;
  const count = /^-?\d{1,15}$/.test(line) ? Number(line) : undefined;
  switch (bytes[from]) {
    case 0x2b: // +
      return { reply: line, end };
    case 0x2d: // -
      return { reply: undefined, end };
    case 0x3a: // :
      return count === undefined ? 'broken' : { reply: count, end };
    case 0x24: // $
      if (count === -1) return { reply: null, end };
      if (count === undefined || count < 0 || count > replyBytesMax) return 'broken';
      return bytes.length < end + count + 2
        ? 'incomplete'
        : { reply: bytes.toString('utf8', end, end + count), end: end + count + 2 };
    case 0x2a: // *
      return count === undefined || count > 64 || depth > 2 ? 'broken' : parseList(bytes, end, { count, depth });
    default:
      return 'broken';
  }
}

function parseList(bytes: Buffer, from: number, { count, depth }: { count: number; depth: number }): Parsed {
  if (count < 0) return { reply: null, end: from };
  const list: Reply[] = [];
  let end = from;
  for (let position = 0; position < count; position += 1) {
    const one = parseReply(bytes, end, depth + 1);
    if (typeof one === 'string') return one;
    list.push(one.reply ?? null);
    end = one.end;
  }
  return { reply: list, end };
}
