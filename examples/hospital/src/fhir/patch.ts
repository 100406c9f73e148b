/**
 * JSON Patch (RFC 6902) on a resource: all six operations, applied to a copy, so a failing patch changes nothing. A
 * pointer that would reach an object's prototype is refused.
 */
import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../resource.ts';
import { FhirError } from './outcome.ts';

export const operationsMax = 100;

type Container = Record<string, unknown> | unknown[];

/** The patched copy. A malformed patch is a 400, one that doesn't fit the resource a 422. */
export function applyPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch) || patch.length > operationsMax)
    throw new FhirError(400, 'structure', `expected a JSON Patch of at most ${operationsMax} operations`);
  let result = structuredClone(document);
  for (const operation of patch) result = applyOne(result, operation);
  return result;
}

function applyOne(document: unknown, operation: unknown): unknown {
  if (!isRecord(operation)) throw new FhirError(400, 'structure', 'expected each operation to be an object');
  const path = pointer(operation.path);
  switch (operation.op) {
    case 'add':
      return add(document, path, structuredClone(valueIn(operation)));
    case 'remove':
      remove(document, path);
      return document;
    case 'replace':
      remove(document, path);
      return add(document, path, structuredClone(valueIn(operation)));
    case 'test':
      if (!isDeepStrictEqual(read(document, path), valueIn(operation)))
        throw doesNotFit('a test operation did not hold');
      return document;
    case 'copy':
      return add(document, path, structuredClone(read(document, pointer(operation.from))));
    case 'move': {
      const from = pointer(operation.from);
      const moved = read(document, from);
      remove(document, from);
      return add(document, path, moved);
    }
    default:
      throw new FhirError(400, 'structure', 'expected op to be add, remove, replace, move, copy or test');
  }
}

function valueIn(operation: Record<string, unknown>): unknown {
  if (!Object.hasOwn(operation, 'value')) throw new FhirError(400, 'structure', 'expected a value in the operation');
  return operation.value;
}

function doesNotFit(why: string): FhirError {
  return new FhirError(422, 'business-rule', `the patch does not fit the resource: ${why}`);
}

function pointer(text: unknown): readonly string[] {
  if (typeof text !== 'string' || !text.startsWith('/'))
    throw new FhirError(400, 'structure', 'expected a JSON pointer to a member of the resource');
  const tokens = text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (tokens.includes('__proto__')) throw new FhirError(400, 'structure', 'expected a pointer to data');
  return tokens;
}

function containerOf(document: unknown, path: readonly string[]): Container {
  const parent = path.slice(0, -1).reduce<unknown>((at, token) => memberOf(at, token), document);
  if (!Array.isArray(parent) && !isRecord(parent)) throw doesNotFit('a pointer leads nowhere');
  return parent;
}

function memberOf(container: unknown, token: string): unknown {
  if (Array.isArray(container)) return container[indexOf(token, container.length - 1)];
  if (isRecord(container) && Object.hasOwn(container, token)) return container[token];
  throw doesNotFit('a pointer leads nowhere');
}

function indexOf(token: string, max: number): number {
  if (!/^(0|[1-9]\d{0,6})$/.test(token) || Number(token) > max) throw doesNotFit('an index lies outside its array');
  return Number(token);
}

function lastOf(path: readonly string[]): string {
  return path.at(-1) ?? '';
}

function read(document: unknown, path: readonly string[]): unknown {
  return memberOf(containerOf(document, path), lastOf(path));
}

function add(document: unknown, path: readonly string[], value: unknown): unknown {
  const parent = containerOf(document, path);
  const token = lastOf(path);
  if (Array.isArray(parent)) parent.splice(token === '-' ? parent.length : indexOf(token, parent.length), 0, value);
  else parent[token] = value;
  return document;
}

function remove(document: unknown, path: readonly string[]): void {
  const parent = containerOf(document, path);
  memberOf(parent, lastOf(path));
  if (Array.isArray(parent)) parent.splice(Number(lastOf(path)), 1);
  else delete parent[lastOf(path)];
}
