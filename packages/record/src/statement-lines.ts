/** Lines of the texts that Watchglass signs besides checkpoints (seals, statements on keys, successions): a name, a space, a value; each with one spelling. */
import { tryDecodeBase64 } from './bytes.ts';

/** Makes the error of the text at hand. */
export type Malformed = (message: string, cause?: unknown) => Error;

/** The values of lines in their order, or the error. */
export function valuesOf(lines: readonly string[], names: readonly string[], malformed: Malformed): string[] {
  return names.map((name, at) => {
    const line = lines[at];
    if (line?.startsWith(`${name} `) !== true) throw malformed(`expected a line that begins ${name}`);
    return line.slice(name.length + 1);
  });
}

export function countOf(text: string, malformed: Malformed): number {
  const value = /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw malformed('expected a decimal without leading zeroes');
  return value;
}

/** 32 bytes. */
export function hashOf(text: string, malformed: Malformed): Uint8Array {
  const hash = tryDecodeBase64(text);
  if (hash?.length !== 32) throw malformed('expected base64 of 32 bytes');
  return hash;
}
