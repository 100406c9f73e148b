/** What is on its way into a spool and isn't being written yet, in order, and how much room it takes until it is through. */
import type { Appending } from './appending.ts';
import { frameBodyBytesMax } from './segment.ts';

const groupBytesMax = 1024 * 1024;

export class Pending {
  #all: Appending[] = [];
  /** Of what is being written as well. */
  bytes = 0;

  get count(): number {
    return this.#all.length;
  }

  push(appending: Appending): void {
    this.#all.push(appending);
    this.bytes += appending.bytes;
  }

  /** Before everything else. */
  pushFirst(appending: Appending): void {
    this.#all.unshift(appending);
    this.bytes += appending.bytes;
  }

  /** False where it isn't here any more. */
  takeBack(appending: Appending): boolean {
    const at = this.#all.indexOf(appending);
    if (at < 0) return false;
    this.#all.splice(at, 1);
    this.bytes -= appending.bytes;
    return true;
  }

  /** What is written together next. It takes room until it is `through`. */
  takeGroup(): readonly Appending[] {
    let bytes = 0;
    let count = 0;
    for (const appending of this.#all) {
      const bytesMax = appending.corrects === undefined ? groupBytesMax : frameBodyBytesMax;
      if (count > 0 && bytes + appending.bytes > bytesMax) break;
      bytes += appending.bytes;
      count += 1;
    }
    return this.#all.splice(0, count);
  }

  through(group: readonly Appending[]): void {
    this.bytes -= group.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** None of it could be written, nor could what waits behind it. Only corrections that are owed stay. */
  refuse(group: readonly Appending[], error: unknown): void {
    const all = [...group, ...this.#all];
    const refused = all.filter((appending) => !appending.owed);
    this.#all = all.filter((appending) => appending.owed);
    for (const appending of refused) appending.reject(error);
    this.through(refused);
  }

  /** Nothing will be written any more. */
  refuseAll(group: readonly Appending[], error: unknown): void {
    const refused = [...group, ...this.#all];
    this.#all = [];
    for (const appending of refused) appending.reject(error);
    this.through(refused);
  }
}
