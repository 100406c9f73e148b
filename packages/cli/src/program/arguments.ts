/**
 * Arguments and options that are more than text: each reader takes what was typed, and refuses it in words that say what was expected.
 */
import { InvalidArgumentError } from 'commander';

export function toCount(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('expected a number from 1.');
  return count;
}

export function toIndex(text: string): number {
  const index = /^\d{1,15}$/.test(text) ? Number(text) : -1;
  if (index < 0) throw new InvalidArgumentError('expected the index of an event: a number from 0.');
  return index;
}

export type Range = readonly [first: number, last: number];

export function toRange(text: string, before: Range[] = []): Range[] {
  const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || last < first) throw new InvalidArgumentError('expected an index, or a range such as 420-431.');
  return [...before, [first, last]];
}

export function toOneRange(text: string): Range {
  return toRange(text)[0] as Range;
}

export function toList(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

export function toPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('expected a port from 1 to 65535.');
  return port;
}

export function toPortBase(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1_024 || port > 65_532) throw new InvalidArgumentError('expected a port from 1024 to 65532.');
  return port;
}
