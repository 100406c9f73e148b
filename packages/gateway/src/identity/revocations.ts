/**
 * Tokens that are over before their end: by subject, session, token id or client, kept until no token issued before can still be alive.
 *
 * An entry is in force at once, and kept across restarts once `add` resolves. Bounded: where there is no more room, everything issued until now is refused instead,
 * so that everybody signs in again rather than one who was signed out staying in. A file that can't be read does the same.
 */
import { chmod, type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

export type RevokedBy = 'all' | 'sub' | 'sub-without-session' | 'sid' | 'jti' | 'client';

export interface Revocation {
  readonly by: RevokedBy;
  /** The actor's id for a subject; nothing for `all`. */
  readonly value: string;
  /** Only tokens of this issuer; of any without it. */
  readonly issuer?: string | undefined;
  /** Seconds since 1970: tokens issued later are not meant. Without it no token is let through. */
  readonly issuedUntil?: number | undefined;
}

/** Who or what is to be let in no longer. Tokens issued from half a minute on are let in again, except of a session or by id. */
export type Revoke = { readonly issuer?: string } & (
  | { /** The actor's id, as events have it. */ readonly sub: string }
  | { readonly sid: string }
  | { readonly jti: string }
  | { readonly client: string }
);

/** What of a verified token decides. */
export interface TokenFacts {
  readonly id: string;
  readonly issuer: string;
  readonly session: string | undefined;
  readonly tokenId: string | undefined;
  readonly client: string | undefined;
  /** Seconds since 1970. */
  readonly issuedAt: number | undefined;
}

export interface KeptRevocation extends Revocation {
  /** When it is forgotten; milliseconds since 1970. */
  readonly untilMs: number;
}

type Entry = KeptRevocation;

/** An issuer's clock may be ahead of this one. */
export const clockToleranceSeconds = 30;

export function revocationOf(what: Revoke): Revocation {
  const { issuer } = what;
  // The issuer's clock may be ahead: what it issued a moment ago would look as if it came after.
  const issuedUntil = Math.floor(Date.now() / 1_000) + clockToleranceSeconds;
  if ('sub' in what) return { by: 'sub', value: what.sub, issuedUntil };
  if ('sid' in what) return { by: 'sid', value: what.sid, issuer };
  if ('jti' in what) return { by: 'jti', value: what.jti, issuer };
  return { by: 'client', value: what.client, issuer, issuedUntil };
}

export class Revocations implements AsyncDisposable {
  readonly #file: string | undefined;
  readonly #keepMs: number;
  readonly #entriesMax: number;
  readonly #keep: RevocationsOptions['keep'];
  readonly #now: () => number;
  readonly #onChange = new Set<() => void>();
  #entries = new Map<string, Entry>();
  #handle: FileHandle | undefined;
  #linesCount = 0;
  #writing: Promise<void> = Promise.resolve();
  #damaged = false;

  private constructor(options: RevocationsOptions) {
    this.#file = options.file;
    this.#keepMs = options.keepMs;
    this.#entriesMax = options.entriesMax ?? 50_000;
    this.#keep = options.keep;
    this.#now = options.now ?? Date.now;
    for (const entry of options.entries ?? []) this.#put(entry);
  }

  /** A copy of what another process owns and keeps. */
  static copy(options: Pick<RevocationsOptions, 'keepMs' | 'entriesMax' | 'now' | 'entries' | 'keep'>): Revocations {
    return new Revocations(options);
  }

  /** Reads what was kept, and makes the file new without what is over. */
  static async open(options: RevocationsOptions): Promise<Revocations> {
    const made = new Revocations(options);
    if (options.file !== undefined) {
      await made.#read(options.file);
      await made.#rewrite(options.file);
    }
    return made;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** All of them, for a copy. */
  get entries(): readonly KeptRevocation[] {
    return [...this.#entries.values()];
  }

  /** The file was not what was written: everybody has to sign in again. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** No token may live longer than this: a revocation is forgotten after it. */
  get keepMs(): number {
    return this.#keepMs;
  }

  /** Called at once when something was revoked. */
  onChange(listener: () => void): void {
    this.#onChange.add(listener);
  }

  isRevoked(facts: TokenFacts): boolean {
    if (this.#entries.size === 0) return false;
    const { id, issuer, session, tokenId, client } = facts;
    return (
      this.#covers('all', '', facts) ||
      this.#covers('sub', id, facts) ||
      (session === undefined
        ? this.#covers('sub-without-session', id, facts)
        : this.#covers('sid', session, facts) || this.#covers('sid', session, facts, issuer)) ||
      (tokenId !== undefined && (this.#covers('jti', tokenId, facts) || this.#covers('jti', tokenId, facts, issuer))) ||
      (client !== undefined && (this.#covers('client', client, facts) || this.#covers('client', client, facts, issuer)))
    );
  }

  /** Takes over what its owner keeps: in force when it returns. */
  hear(revocations: readonly Revocation[]): void {
    this.#enforce(revocations, this.#now() + this.#keepMs);
  }

  /** In force when it returns; resolves once it outlives the process, and rejects where that can't be had. */
  add(revocations: readonly Revocation[]): Promise<void> {
    const untilMs = this.#now() + this.#keepMs;
    const collapsed = this.#enforce(revocations, untilMs);
    if (this.#keep !== undefined) return this.#keep(revocations);
    const file = this.#file;
    if (file === undefined) return Promise.resolve();
    const lines = revocations.map((revocation) => lineOf({ ...revocation, untilMs }));
    return this.#write(() =>
      collapsed || this.#linesCount > 2 * this.#entries.size + 1_000 || this.#handle === undefined
        ? this.#rewrite(file)
        : this.#append(this.#handle, lines),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** True when it took more room than there was. */
  #enforce(revocations: readonly Revocation[], untilMs: number): boolean {
    for (const revocation of revocations) this.#put({ ...revocation, untilMs });
    const collapsed = this.#entries.size > this.#entriesMax && this.#collapse();
    for (const listener of this.#onChange) listener();
    return collapsed;
  }

  #covers(by: RevokedBy, value: string, { issuedAt }: TokenFacts, issuer?: string): boolean {
    const key = keyOf({ by, value, issuer });
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    if (entry.untilMs <= this.#now()) {
      this.#entries.delete(key);
      return false;
    }
    // A token that doesn't say when it was issued may be an old one.
    return entry.issuedUntil === undefined || issuedAt === undefined || issuedAt <= entry.issuedUntil;
  }

  /** Of two for the same the wider one holds. */
  #put(entry: Entry): void {
    const key = keyOf(entry);
    const old = this.#entries.get(key);
    const issuedUntil =
      old === undefined
        ? entry.issuedUntil
        : old.issuedUntil === undefined || entry.issuedUntil === undefined
          ? undefined
          : Math.max(old.issuedUntil, entry.issuedUntil);
    this.#entries.delete(key);
    this.#entries.set(key, { ...entry, issuedUntil, untilMs: Math.max(entry.untilMs, old?.untilMs ?? 0) });
  }

  /** Drops what is over; if that isn't enough, one entry stands for all of them. True when something was dropped. */
  #collapse(): boolean {
    const nowMs = this.#now();
    for (const [key, { untilMs }] of this.#entries) if (untilMs <= nowMs) this.#entries.delete(key);
    if (this.#entries.size > this.#entriesMax) this.#refuseAllSoFar();
    return true;
  }

  #refuseAllSoFar(): void {
    const nowMs = this.#now();
    const issuedUntil = Math.ceil(nowMs / 1_000) + clockToleranceSeconds;
    this.#entries = new Map();
    this.#put({ by: 'all', value: '', issuedUntil, untilMs: nowMs + this.#keepMs });
  }

  async #read(file: string): Promise<void> {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    // What follows the last line end was torn off by a crash, and nobody was told that it is kept.
    const lines = text.split('\n').slice(0, -1);
    const entries = lines.map(entryOf);
    for (const entry of entries) if (entry !== undefined && entry.untilMs > this.#now()) this.#put(entry);
    if (entries.includes(undefined)) {
      this.#damaged = true;
      this.#refuseAllSoFar();
    }
  }

  /** One after another, and a failed one doesn't stop the next. */
  #write(step: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(step);
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #append(handle: FileHandle, lines: readonly string[]): Promise<void> {
    try {
      await handle.appendFile(lines.join(''));
      await handle.datasync();
      this.#linesCount += lines.length;
    } catch (error) {
      // Half a line may stand there: the next one begins with a new file.
      await handle.close().catch(() => undefined);
      this.#handle = undefined;
      throw error;
    }
  }

  async #rewrite(file: string): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    const handle = await open(`${file}.new`, 'w', 0o600);
    try {
      await chmod(`${file}.new`, 0o600);
      await handle.writeFile([...this.#entries.values()].map(lineOf).join(''));
      await handle.datasync();
      await rename(`${file}.new`, file);
      const directory = await open(dirname(file), 'r');
      await directory.sync().finally(() => directory.close());
    } catch (error) {
      await handle.close().catch(() => undefined);
      throw error;
    }
    this.#handle = handle;
    this.#linesCount = this.#entries.size;
  }
}

export interface RevocationsOptions {
  /** Without one nothing outlives the process. */
  readonly file?: string;
  /** Who keeps what is added, instead of a file. */
  readonly keep?: (revocations: readonly Revocation[]) => Promise<void>;
  /** What is in force from the beginning. */
  readonly entries?: readonly KeptRevocation[];
  readonly keepMs: number;
  readonly entriesMax?: number;
  readonly now?: () => number;
}

function keyOf({ by, issuer, value }: Pick<Revocation, 'by' | 'issuer' | 'value'>): string {
  return `${by}\n${issuer ?? ''}\n${value}`;
}

function lineOf({ by, value, issuer, issuedUntil, untilMs }: Entry): string {
  return `${JSON.stringify({ by, value, issuer, issuedUntil, untilMs })}\n`;
}

const kinds: ReadonlySet<unknown> = new Set(['all', 'sub', 'sub-without-session', 'sid', 'jti', 'client']);

function entryOf(line: string): Entry | undefined {
  try {
    const entry = JSON.parse(line) as Entry;
    const { by, value, issuer, issuedUntil, untilMs } = entry;
    const sound =
      kinds.has(by) &&
      typeof value === 'string' &&
      (issuer === undefined || typeof issuer === 'string') &&
      (issuedUntil === undefined || Number.isFinite(issuedUntil)) &&
      Number.isFinite(untilMs);
    return sound ? entry : undefined;
  } catch {
    return undefined;
  }
}
