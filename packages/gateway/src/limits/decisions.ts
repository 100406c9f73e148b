/**
 * What the server decided about addresses and people: blocked, or a better sign-in first. In force the moment it is taken, kept on disk so that it outlives
 * the process and a server that is away, and over at its end whether or not anybody says so.
 *
 * Each answer of the server is the whole of what is in force: what stands in it no longer is lifted. A file that can't be read counts as none; the server says
 * it all again with its first answer.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

import { z } from 'zod';

import { AddressList, parseAddressRange } from './address-list.ts';

export type DecisionSubject = 'address' | 'actor' | 'client' | 'session';

export interface Decision {
  readonly id: string;
  readonly effect: 'block' | 'step-up';
  readonly subject: DecisionSubject;
  readonly value: string;
  /** RFC 3339. */
  readonly made: string;
  readonly expires: string;
  readonly by: string;
  readonly reason: string;
}

export interface Snapshot {
  /** The server's name for this state of things; asking with it waits for another. */
  readonly version: string;
  readonly decisions: readonly Decision[];
}

export interface DecisionNews {
  readonly kind: 'applied' | 'lifted' | 'expired';
  readonly decision: Decision;
}

export type Verdict =
  | { readonly kind: 'blocked'; readonly by: DecisionSubject; readonly id: string }
  /** Whoever signed in before this moment signs in again. */
  | { readonly kind: 'step-up'; readonly sinceMs: number; readonly id: string };

export const decisionsMax = 10_000;

const text = z.string().min(1).max(1_024);
const moment = z.iso.datetime({ offset: true });
const decisionSchema: z.ZodType<Decision> = z
  .object({
    id: z.string().regex(/^[!-~]{1,64}$/),
    effect: z.enum(['block', 'step-up']),
    subject: z.enum(['address', 'actor', 'client', 'session']),
    value: text,
    made: moment,
    expires: moment,
    by: text,
    reason: text,
  })
  .refine(({ effect, subject }) => effect === 'block' || subject === 'actor')
  .refine(({ subject, value }) => subject !== 'address' || parseAddressRange(value) !== undefined);
const snapshotSchema = z.object({
  version: z.string().regex(/^[!-~]{1,128}$/),
  decisions: z.array(z.unknown()).max(decisionsMax),
});

/** Undefined for what is no answer of such a server; a decision that this version doesn't know is left out and counted. */
export function parseSnapshot(value: unknown): (Snapshot & { readonly unknownCount: number }) | undefined {
  const outer = snapshotSchema.safeParse(value);
  if (!outer.success) return undefined;
  const decisions = outer.data.decisions.flatMap((one) => decisionSchema.safeParse(one).data ?? []);
  return { version: outer.data.version, decisions, unknownCount: outer.data.decisions.length - decisions.length };
}

export class Decisions {
  readonly #file: string | undefined;
  readonly #now: () => number;
  readonly #onNews: (news: DecisionNews) => void;
  readonly #onChange: (() => void) | undefined;
  #version: string | undefined;
  #inForce = new Map<string, Decision>();
  #addresses = new AddressList([]);
  /** By subject and value; of several for one the strictest. */
  #bySubject = new Map<string, Decision>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: DecisionsOptions) {
    this.#file = options.file;
    this.#now = options.now ?? Date.now;
    this.#onNews = options.onNews;
    this.#onChange = options.onChange;
  }

  static async open(options: DecisionsOptions): Promise<Decisions> {
    const made = new Decisions(options);
    const kept = options.file === undefined ? undefined : await readFile(options.file, 'utf8').catch(() => undefined);
    const snapshot = kept === undefined ? undefined : parseSnapshot(parseJson(kept));
    if (snapshot !== undefined) {
      made.#version = snapshot.version;
      made.#put(snapshot.decisions);
    }
    return made;
  }

  /** A copy of what another process owns and keeps: what ends by itself, ends here too. */
  static of({ version, decisions }: Snapshot): Decisions {
    const made = new Decisions({ onNews: () => undefined });
    made.#version = version;
    made.#put(decisions);
    return made;
  }

  get size(): number {
    return this.#inForce.size;
  }

  /** All that is in force, as another process may take it. */
  get snapshot(): Snapshot {
    return { version: this.#version ?? 'none', decisions: [...this.#inForce.values()] };
  }

  /** Of the last answer that was taken; undefined before the first. */
  get version(): string | undefined {
    return this.#version;
  }

  /** In force when it returns; resolves once it outlives the process. Rejects where that can't be had: then it is to be asked for again. */
  take(snapshot: Snapshot): Promise<void> {
    const nowMs = this.#now();
    const before = this.#inForce;
    this.#put(snapshot.decisions.filter(({ expires }) => Date.parse(expires) > nowMs));
    for (const [id, decision] of this.#inForce) if (!before.has(id)) this.#onNews({ kind: 'applied', decision });
    for (const [id, decision] of before) {
      if (this.#inForce.has(id)) continue;
      this.#onNews({ kind: Date.parse(decision.expires) > nowMs ? 'lifted' : 'expired', decision });
    }
    this.#onChange?.();
    const { version } = snapshot;
    const kept = JSON.stringify({ version, decisions: [...this.#inForce.values()] });
    const written = this.#writing
      .then(() => (this.#file === undefined ? undefined : replace(this.#file, kept)))
      .then(() => {
        this.#version = version;
      });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** Ends what is over. To be called every now and then, so that each end is told. */
  sweep(): void {
    const nowMs = this.#now();
    const over = [...this.#inForce.values()].filter(({ expires }) => Date.parse(expires) <= nowMs);
    if (over.length === 0) return;
    const ended = new Set(over);
    this.#put([...this.#inForce.values()].filter((decision) => !ended.has(decision)));
    for (const decision of over) this.#onNews({ kind: 'expired', decision });
  }

  /** Whether nothing is heard from an address. While any is blocked, an unknown one could be it. */
  forAddress(address: string | undefined): boolean {
    return address === undefined ? !this.#addresses.empty : this.#addresses.includes(address, this.#now());
  }

  /** What is decided about somebody whose token held. */
  forKnown(facts: {
    readonly actor: string;
    readonly client: string | undefined;
    readonly session: string | undefined;
    /** When they signed in. */
    readonly authenticatedAt: string | undefined;
  }): Verdict | undefined {
    if (this.#bySubject.size === 0) return undefined;
    const { actor, client, session, authenticatedAt } = facts;
    const nowMs = this.#now();
    const find = (subject: DecisionSubject, value: string | undefined): Decision | undefined => {
      const found = value === undefined ? undefined : this.#bySubject.get(`${subject} ${value}`);
      return found !== undefined && Date.parse(found.expires) > nowMs ? found : undefined;
    };
    for (const found of [find('session', session), find('client', client), find('actor', actor)]) {
      if (found === undefined) continue;
      const { id } = found;
      if (found.effect === 'block') return { kind: 'blocked', by: found.subject, id };
      const sinceMs = Date.parse(found.made);
      // Who doesn't say when they signed in may have done it before.
      if (authenticatedAt === undefined || !(Date.parse(authenticatedAt) > sinceMs))
        return { kind: 'step-up', sinceMs, id };
    }
    return undefined;
  }

  #put(decisions: readonly Decision[]): void {
    this.#inForce = new Map(decisions.map((decision) => [decision.id, decision]));
    this.#addresses = new AddressList(
      decisions.flatMap(({ subject, value, expires }) => {
        const range = subject === 'address' ? parseAddressRange(value) : undefined;
        return range === undefined ? [] : [{ ...range, untilMs: Date.parse(expires) }];
      }),
    );
    this.#bySubject = new Map();
    for (const decision of decisions) {
      if (decision.subject === 'address') continue;
      const key = `${decision.subject} ${decision.value}`;
      const other = this.#bySubject.get(key);
      if (other === undefined || isStricter(decision, other)) this.#bySubject.set(key, decision);
    }
  }
}

export interface DecisionsOptions {
  /** Without one nothing outlives the process. */
  readonly file?: string;
  readonly onNews: (news: DecisionNews) => void;
  /** What the server said is in force now. */
  readonly onChange?: () => void;
  readonly now?: () => number;
}

/** A block before a sign-in; of two blocks the longer, of two sign-ins the later one. */
function isStricter(a: Decision, b: Decision): boolean {
  if (a.effect !== b.effect) return a.effect === 'block';
  const of = ({ effect, expires, made }: Decision): number => Date.parse(effect === 'block' ? expires : made);
  return of(a) > of(b);
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

async function replace(file: string, content: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  const directory = await open(dirname(file), 'r');
  await directory.sync().finally(() => directory.close());
}
