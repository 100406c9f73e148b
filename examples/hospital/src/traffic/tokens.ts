/**
 * Everybody's access token, from the demo's `tokens.json`. The file is looked at every {@link pollMs} and right away
 * when a token was refused (at most once a second); while it is missing or half the people are, the rest work.
 */
import { readFile, stat } from 'node:fs/promises';
import { isRecord } from '../resource.ts';

export const pollMs = 2000;
const refusedPauseMs = 1000;

export class Tokens {
  readonly #path: string;
  readonly #monotonicMs: () => number;
  #stamp = '';
  #lastLookMs = Number.NEGATIVE_INFINITY;
  #tokens: ReadonlyMap<string, string> = new Map();
  #usernames: ReadonlyMap<string, string> = new Map();

  constructor(path: string, monotonicMs: () => number) {
    this.#path = path;
    this.#monotonicMs = monotonicMs;
  }

  /** By id, or by username where the identity provider calls people by ids of its own. */
  of(person: { readonly id: string; readonly username: string }): string | undefined {
    return this.#tokens.get(person.id) ?? this.#usernames.get(person.username);
  }

  get size(): number {
    return this.#usernames.size;
  }

  /** Reads the file again if it changed since the last time; true when it did. */
  async refresh(): Promise<boolean> {
    this.#lastLookMs = this.#monotonicMs();
    try {
      const { mtimeMs, size, ino } = await stat(this.#path);
      const stamp = `${mtimeMs}:${size}:${ino}`;
      if (stamp === this.#stamp) return false;
      this.#read(JSON.parse(await readFile(this.#path, 'utf8')));
      this.#stamp = stamp;
      return true;
    } catch {
      // Missing, or being written: what we have stays good until the gateway says otherwise, and the next look is soon.
      return false;
    }
  }

  /** Called when the gateway refused a token. */
  async refused(): Promise<void> {
    if (this.#monotonicMs() - this.#lastLookMs >= refusedPauseMs) await this.refresh();
  }

  #read(value: unknown): void {
    const people = isRecord(value) && Array.isArray(value.people) ? value.people : [];
    const withToken = people.filter(
      (one): one is Record<string, unknown> & { token: string } => isRecord(one) && typeof one.token === 'string',
    );
    const by = (member: string): Map<string, string> =>
      new Map(
        withToken.flatMap((one) => (typeof one[member] === 'string' ? [[one[member] as string, one.token]] : [])),
      );
    this.#tokens = by('id');
    this.#usernames = by('username');
  }
}
