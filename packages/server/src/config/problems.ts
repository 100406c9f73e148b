/**
 * What is wrong with a configuration, in words: the place, what is wrong, what to do. A misspelt key is told the nearest one.
 */
import type { z } from 'zod';

/** A key of the schema, as in `configKeys`. */
interface KnownKey {
  /** e.g. `listen.port`. */
  readonly key: string;
  readonly description: string;
}

/** One line a problem: the place, what is wrong, what to do. Values are never repeated: one may be a secret in the wrong place. */
export function sayIssue(issue: z.core.$ZodIssue, value: unknown, keys: readonly KnownKey[]): string[] {
  const place = placeOf(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => sayUnknownKey([...issue.path, key], keys));
  }
  if (valueAt(value, issue.path) === undefined) {
    const known = keys.find((entry) => entry.key === place.replace(/\[\d+\]/g, '[]'));
    return [`${place}: missing; ${known === undefined ? 'add it' : `set it: ${known.description}`}`];
  }
  const [first = '', ...rest] = issue.message.replace(/^Invalid input: /, '');
  return [`${place === '' ? 'the file' : place}: ${first.toLowerCase()}${rest.join('')}`];
}

function sayUnknownKey(path: readonly PropertyKey[], keys: readonly KnownKey[]): string {
  const folder = placeOf(path.slice(0, -1));
  const key = String(path.at(-1));
  const siblings = keys
    .map((entry) => entry.key)
    .filter((known) => known.startsWith(folder === '' ? '' : `${folder}.`))
    .map((known) => known.slice(folder === '' ? 0 : folder.length + 1))
    .filter((known) => !known.includes('.') && !known.includes('['));
  const nearest = siblings
    .map((known) => ({ known, edits: editsBetween(key, known) }))
    .sort((a, b) => a.edits - b.edits)[0];
  const hint =
    nearest !== undefined && nearest.edits <= Math.max(2, Math.floor(key.length / 2))
      ? `did you mean \`${nearest.known}\`?`
      : `known here: ${siblings.join(', ')}`;
  return `${placeOf(path)}: unknown key; ${hint}`;
}

function placeOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((place, step) => {
    if (typeof step === 'number') return `${place}[${step}]`;
    return place === '' ? String(step) : `${place}.${String(step)}`;
  }, '');
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, step) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[step] : undefined),
    value,
  );
}

/** Levenshtein's distance. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
