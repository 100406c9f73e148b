/**
 * An older copy of `state.sqlite` brings back to life what has ended since: people who were disabled, keys and tokens that were revoked or used. So the file counts what ends, and `state.mark`
 * beside it remembers how far the count was, before whoever ended it has an answer. A file that is behind is refused at the start.
 *
 * It can't tell where both were put back: an older copy of everything is what witnesses are for (docs/witnesses.md). Whoever wants to go on with an older file removes the mark; then everybody
 * signs in again, and `watchglass fsck` says what the logs know better.
 */
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import { inTransaction, openMarks, type State } from './state.ts';

/** Beside the file. */
export const stateMarkName = 'state.mark';
const lineageName = 'lineage';
const endingsName = 'endings';
const pattern = /^([A-Za-z0-9_-]{22}) (0|[1-9]\d{0,14})\n$/;

export interface StateMark {
  /** Something ended, in the caller's transaction or just now. */
  advance(): void;
  /** Resolves once the mark remembers all that was counted until now. Rejects where it can't be written: then nobody may hear that it ended. */
  settled(): Promise<void>;
}

/** Which file it is, and how much has ended in it. */
export interface Standing {
  readonly lineage: string;
  readonly endings: number;
}

/** @throws ServerError `state-older` */
export async function openStateMark(parts: {
  readonly state: State;
  readonly path: string;
  readonly world: World;
  /** The mark was taken away, so nobody knows what has ended meanwhile. In one transaction with what makes it another file. */
  readonly atStranger: () => void;
}): Promise<StateMark> {
  const { state, path, world, atStranger } = parts;
  const marks = openMarks(state);
  const held = standingIn(marks);
  const remembered = await readStateMark(world, path);
  if (remembered !== undefined && !isUpTo(held, remembered))
    throw new ServerError(
      'state-older',
      `expected state.sqlite as ${path} remembers it, got an older copy or another file: what has ended since would come back to life. Put the newest copy back, with its -wal where it has one; or run watchglass fsck, remove ${path} and start again, and end by hand what fsck names: everybody signs in again`,
    );
  const isKept = remembered !== undefined && held !== undefined;
  const lineage = isKept ? held.lineage : Buffer.from(world.random.bytes(16)).toString('base64url');
  const endings = held?.endings ?? 0;
  const write = (count: number): Promise<void> =>
    world.disk.replace(path, new TextEncoder().encode(`${lineage} ${count}\n`), { mode: 0o600 });
  if (!isKept)
    inTransaction(state, () => {
      if (held !== undefined) atStranger();
      marks.set(lineageName, lineage);
      marks.set(endingsName, String(endings));
    });
  if (!isKept || remembered.endings < endings) await write(endings);

  const increment = state.prepare(`UPDATE marks SET value = CAST(value AS INTEGER) + 1 WHERE name = '${endingsName}'`);
  // Of the file, not of memory: a transaction that is undone has ended nothing.
  const counted = (): number => Number(marks.get(endingsName));
  let written = endings;
  let writing: Promise<void> | undefined;
  const writeOne = async (count: number): Promise<void> => {
    try {
      await write(count);
      written = count;
    } finally {
      writing = undefined;
    }
  };
  return {
    advance: () => void increment.run(),
    async settled() {
      const wanted = counted();
      let newest = wanted;
      // One that was under way may have begun before, and ends short of it: the next is for all who wait.
      for (; written < wanted; newest = Math.max(newest, state.isOpen ? counted() : newest)) {
        writing ??= writeOne(newest);
        await writing;
      }
    },
  };
}

/** @throws ServerError `state-older` where it says nothing that can be read */
export async function readStateMark(world: World, path: string): Promise<Standing | undefined> {
  const bytes = await world.disk.readFile(path);
  if (bytes === undefined) return undefined;
  const [, lineage, endings] = pattern.exec(new TextDecoder().decode(bytes)) ?? [];
  if (lineage === undefined || endings === undefined)
    throw new ServerError('state-older', `expected a line of two words in ${path}, got ${bytes.byteLength} bytes`);
  return { lineage, endings: Number(endings) };
}

export function standingIn(marks: { get(name: string): string | undefined }): Standing | undefined {
  const [lineage, endings] = [marks.get(lineageName), marks.get(endingsName)];
  return lineage === undefined || endings === undefined ? undefined : { lineage, endings: Number(endings) };
}

/** A file that is ahead was written by a process that was killed before the mark was: nobody had an answer yet. */
export function isUpTo(held: Standing | undefined, remembered: Standing): boolean {
  return held !== undefined && held.lineage === remembered.lineage && held.endings >= remembered.endings;
}
