/**
 * The part of JSONPath (RFC 9535) that names values in a known place: `$.items[*].patient.id`, `$['odd name'][0]`. No descent, no filters, no slices, so a reading
 * takes time that grows with the value only, and says what it did not find: a list whose items lack the member is not the same as an empty list.
 */

export const pathCharsMax = 256;
export const pathStepsMax = 16;

export type Step =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'index'; readonly at: number }
  | { readonly kind: 'each' };

export interface JsonPath {
  readonly text: string;
  readonly steps: readonly Step[];
}

export interface Reading {
  readonly values: readonly unknown[];
  /** In so many places where one should stand nothing did, or null. */
  readonly missingCount: number;
}

const step = /\.([A-Za-z_][A-Za-z0-9_-]*)|\[(?:(\*)|(0|[1-9]\d{0,5})|'([^'\\\p{Cc}]{1,128})')\]/uy;

/** Undefined for what is no path of this kind. */
export function parseJsonPath(text: string): JsonPath | undefined {
  if (text.length > pathCharsMax || text[0] !== '$') return undefined;
  const steps: Step[] = [];
  for (let at = 1; at < text.length; ) {
    step.lastIndex = at;
    const match = step.exec(text);
    if (match === null || steps.length === pathStepsMax) return undefined;
    const [whole, dotted, each, index, quoted] = match;
    if (each !== undefined) steps.push({ kind: 'each' });
    else if (index !== undefined) steps.push({ kind: 'index', at: Number(index) });
    else steps.push({ kind: 'member', name: (dotted ?? quoted) as string });
    at += whole.length;
  }
  return { text, steps };
}

/** Everything that stands at the path. No value is looked at twice for one step. */
export function readPath({ steps }: JsonPath, root: unknown): Reading {
  let values: readonly unknown[] = [root];
  let missingCount = 0;
  for (const one of steps) {
    const next: unknown[] = [];
    for (const value of values) {
      if (one.kind === 'each') {
        // A spread of a long list would not fit on the stack.
        if (Array.isArray(value)) for (const item of value) next.push(item);
        else missingCount += 1;
        continue;
      }
      const found = one.kind === 'index' ? itemOf(value, one.at) : memberOf(value, one.name);
      if (found === undefined) missingCount += 1;
      else next.push(found);
    }
    values = next;
  }
  const there = values.filter((value) => value !== null);
  return { values: there, missingCount: missingCount + values.length - there.length };
}

function itemOf(value: unknown, at: number): unknown {
  return Array.isArray(value) ? value[at] : undefined;
}

/** Own members only: `constructor` is in no JSON. */
function memberOf(value: unknown, name: string): unknown {
  const has = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name);
  return has ? (value as Record<string, unknown>)[name] : undefined;
}
