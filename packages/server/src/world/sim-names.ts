/**
 * The names on a simulated disk: which file each path leads to as processes see it, as it is stored, and the changes in between.
 * A sync of a directory stores what was changed in it; a power failure keeps some of the rest, in order or not.
 */
import { dirname } from 'node:path';
import type { SimContent } from './sim-content.ts';
import type { SimRandom } from './sim-random.ts';

type Entry = SimContent | 'directory' | undefined;

/** One operation: all of its effects are stored, or none. */
interface Change {
  readonly effects: Map<string, Entry>;
}

export class SimNames {
  #current: Map<string, Entry>;
  #stored: Map<string, Entry>;
  #pending: Change[] = [];

  constructor() {
    this.#current = new Map([['/', 'directory']]);
    this.#stored = new Map(this.#current);
  }

  file(path: string): SimContent | undefined {
    const entry = this.#current.get(path);
    return entry === 'directory' ? undefined : entry;
  }

  isDirectory(path: string): boolean {
    return this.#current.get(path) === 'directory';
  }

  /** Every file, by path. */
  *files(): Generator<[path: string, content: SimContent]> {
    for (const [path, entry] of this.#current) if (entry !== undefined && entry !== 'directory') yield [path, entry];
  }

  /** Files that a name leads to once the power fails, some of which are removed already. */
  storedFiles(): SimContent[] {
    const waiting = this.#pending.flatMap(({ effects }) => [...effects.values()]);
    return [...this.#stored.values(), ...waiting].filter((entry) => entry !== undefined && entry !== 'directory');
  }

  /** A path and everything below it, the deepest first. */
  below(path: string): string[] {
    return [...this.#current.keys()]
      .filter((name) => name === path || name.startsWith(`${path}/`))
      .sort()
      .reverse();
  }

  /** Names in a directory, sorted; directories end with `/`. */
  list(path: string): string[] {
    const prefix = path === '/' ? path : `${path}/`;
    const found: string[] = [];
    for (const [name, entry] of this.#current) {
      if (!name.startsWith(prefix) || name.length === prefix.length || name.includes('/', prefix.length)) continue;
      found.push(`${name.slice(prefix.length)}${entry === 'directory' ? '/' : ''}`);
    }
    return found.sort();
  }

  change(effects: readonly (readonly [path: string, entry: Entry])[]): void {
    const made = { effects: new Map(effects) };
    for (const [path, entry] of effects) put(this.#current, path, entry);
    this.#pending.push(made);
  }

  sync(directory: string): void {
    for (let at = 0; at < this.#pending.length; ) {
      const { effects } = this.#pending[at] as Change;
      if (![...effects.keys()].some((path) => dirname(path) === directory)) {
        at++;
        continue;
      }
      this.#store(effects);
      // What came before it on the same names isn't stored any more, wherever it waits.
      for (const earlier of this.#pending.slice(0, at)) for (const path of effects.keys()) earlier.effects.delete(path);
      this.#pending.splice(at, 1);
    }
  }

  losePower(random: SimRandom): void {
    const pending = this.#pending.splice(0);
    const mode = random.below(4);
    const whole = random.below(pending.length + 1);
    for (const [at, { effects }] of pending.entries()) {
      const kept = mode === 0 ? false : mode === 1 ? true : mode === 2 ? at < whole : random.chance(50);
      if (kept) this.#store(effects);
    }
    // A file in a directory that is gone is gone.
    for (const path of [...this.#stored.keys()].sort()) {
      if (path !== '/' && this.#stored.get(dirname(path)) !== 'directory') this.#stored.delete(path);
    }
    this.#current = new Map(this.#stored);
  }

  #store(effects: ReadonlyMap<string, Entry>): void {
    for (const [path, entry] of effects) put(this.#stored, path, entry);
  }
}

function put(names: Map<string, Entry>, path: string, entry: Entry): void {
  if (entry === undefined) names.delete(path);
  else names.set(path, entry);
}
