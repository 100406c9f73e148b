/**
 * Which glass is broken: who may see which patient beyond the rules for every day, since when, until when, and for which of the policy's reasons. Kept in a small
 * file, so that a restart doesn't ask again, and bounded: by time, by patients a person, and in all.
 *
 * Neither people nor patients stand in that file, only their HMAC under a key that stays on this machine; and no free text anywhere: a reason is one of the
 * policy's codes. A file that can't be read costs nothing but a reason given again.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { z } from 'zod';

import { parseJson } from '../http/one-reading.ts';
import type { BreakGlassRule } from './tables.ts';

/** Broken at once, by everybody together. */
export const openMax = 10_000;
/** A clock that was set back by more than this ends what was open. */
const skewMs = 60_000;

export interface Opening {
  /** A code of the policy. */
  readonly reason: string;
  readonly untilMs: number;
}

export type GlassAnswer =
  | ({ readonly kind: 'open' } & Opening)
  /** Not yet: it is broken once `commit` is called, after the event is on record. */
  | ({ readonly kind: 'opening'; commit(): void | Promise<void> } & Opening)
  | {
      readonly kind: 'refused';
      readonly reason: 'break-glass-reason' | 'break-glass-too-many' | 'break-glass-unavailable';
    };

/** Who is asked: the case itself, or the process that has it. Never rejects. */
export interface GlassDesk {
  ask(question: GlassQuestion): GlassAnswer | Promise<GlassAnswer>;
}

export interface GlassQuestion {
  readonly rule: Pick<BreakGlassRule, 'reasons' | 'minutes' | 'patientsMax'>;
  readonly issuer: string;
  readonly person: string;
  readonly patient: string;
  /** The header as it came. */
  readonly reason: string | readonly string[] | undefined;
  readonly nowMs: number;
}

const entrySchema = z.strictObject({
  glass: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  person: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  reason: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
  sinceMs: z.int().min(0),
  untilMs: z.int().min(0),
});
const fileSchema = z.strictObject({ version: z.literal(1), open: z.array(entrySchema).max(openMax) });
type Entry = z.output<typeof entrySchema>;

export class GlassCase implements GlassDesk, AsyncDisposable {
  readonly #file: string;
  readonly #key: Uint8Array;
  readonly #onFault: () => void;
  readonly #open: Map<string, Entry>;
  #writing: Promise<void> | undefined;
  #changed = false;

  private constructor(options: {
    readonly file: string;
    readonly key: Uint8Array;
    readonly onFault: () => void;
    readonly open: readonly Entry[];
  }) {
    this.#file = options.file;
    this.#key = options.key;
    this.#onFault = options.onFault;
    this.#open = new Map(options.open.map((entry) => [entry.glass, entry]));
  }

  /** `secret`: 32 bytes of this machine, of which a key of its own is derived. `onFault` is told of a file that can't be read or written. */
  static async load(options: {
    readonly file: string;
    readonly secret: Uint8Array;
    readonly onFault: () => void;
  }): Promise<GlassCase> {
    const { file, secret, onFault } = options;
    const key = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(), 'watchglass break-glass v1', 32));
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') onFault();
      return undefined;
    });
    const read = text === undefined ? undefined : fileSchema.safeParse(parseJson(text));
    if (read?.success === false) onFault();
    return new GlassCase({ file, key, onFault, open: read?.data?.open ?? [] });
  }

  get openCount(): number {
    return this.#open.size;
  }

  ask({ rule, issuer, person, patient, reason, nowMs }: GlassQuestion): GlassAnswer {
    const glass = this.#name(issuer, person, patient);
    const given = reason === undefined || (typeof reason === 'string' && rule.reasons.has(reason)) ? reason : null;
    if (given === null) return { kind: 'refused', reason: 'break-glass-reason' };
    const known = this.#open.get(glass);
    if (known !== undefined && isOpen(known, nowMs))
      return { kind: 'open', reason: known.reason, untilMs: known.untilMs };
    if (typeof given !== 'string') return { kind: 'refused', reason: 'break-glass-reason' };
    this.#forgetEnded(nowMs);
    const who = this.#name(issuer, person);
    let ofPerson = 0;
    for (const entry of this.#open.values()) if (entry.person === who) ofPerson += 1;
    if (ofPerson >= rule.patientsMax || this.#open.size >= openMax)
      return { kind: 'refused', reason: 'break-glass-too-many' };
    const untilMs = nowMs + rule.minutes * 60_000;
    const commit = (): void => {
      this.#open.set(glass, { glass, person: who, reason: given, sinceMs: nowMs, untilMs });
      this.#changed = true;
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
    };
    return { kind: 'opening', reason: given, untilMs, commit };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  #name(...parts: readonly string[]): string {
    return createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest('base64url');
  }

  #forgetEnded(nowMs: number): void {
    for (const [glass, entry] of this.#open) if (!isOpen(entry, nowMs)) this.#open.delete(glass);
  }

  /** Beside it first, then in its place: whoever reads it finds the one before or this one. */
  async #write(): Promise<void> {
    while (this.#changed) {
      this.#changed = false;
      const beside = `${this.#file}.new`;
      try {
        const handle = await open(beside, 'w', 0o600);
        try {
          await handle.writeFile(JSON.stringify({ version: 1, open: [...this.#open.values()] }));
          await handle.datasync();
        } finally {
          await handle.close();
        }
        await rename(beside, this.#file);
      } catch {
        this.#onFault();
        return;
      }
    }
  }
}

function isOpen({ sinceMs, untilMs }: Entry, nowMs: number): boolean {
  return nowMs >= sinceMs - skewMs && nowMs < untilMs;
}
