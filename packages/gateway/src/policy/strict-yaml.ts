/**
 * YAML held against a schema: an unknown key is refused with its path and the key that was probably meant, a wrong value with its path and
 * what was expected, each with the line it stands in. Values are never repeated, since one may be a secret.
 */
import { isNode, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';

import { GatewayError, type GatewayErrorCode } from '../errors.ts';
import { expectedWords } from './expected.ts';

/** A configuration of a hospital has a few kilobytes, and is read anew while requests are served: what takes long to parse is refused first. */
const charsMax = 512 * 1024;
const lineCharsMax = 64 * 1024;
const depthMax = 256;

export interface StrictYaml<T> {
  readonly value: T;
  /** The line of what stands at this path, or of the nearest thing above it. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** Parses `text` by `schema`, or throws a `GatewayError` of that code naming `file`. */
export function parseStrictYaml<T extends z.ZodType>(
  text: string,
  options: { readonly schema: T; readonly file: string; readonly code: GatewayErrorCode },
): z.output<T> {
  return readStrictYaml(text, options).value;
}

/** The same, with the lines for whoever has more to say about it. */
export function readStrictYaml<T extends z.ZodType>(
  text: string,
  options: { readonly schema: T; readonly file: string; readonly code: GatewayErrorCode },
): StrictYaml<z.output<T>> {
  const { schema, file, code } = options;
  const lines = new LineCounter();
  const document = parseOrRefuse(text, lines, file, code);
  const lineOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return 1;
  };
  const result = schema.safeParse(readValue(document, file, code), { error: expectedWords });
  if (result.success) return { value: result.data, lineOf };
  const problems = result.error.issues
    .slice(0, 10)
    .map((issue) => `${file}: line ${lineOf(placeOf(issue))}: ${explain(schema, issue)}`);
  throw new GatewayError(code, problems.join('\n'));
}

/** An unknown key stands in its own line, not in that of what holds it. */
function placeOf(issue: z.core.$ZodIssue): readonly PropertyKey[] {
  const [key] = issue.code === 'unrecognized_keys' ? issue.keys : [];
  return key === undefined ? issue.path : [...issue.path, key];
}

function parseOrRefuse(
  text: string,
  lineCounter: LineCounter,
  file: string,
  code: GatewayErrorCode,
): ReturnType<typeof parseDocument> {
  const refuse = (what: string): GatewayError => new GatewayError(code, `${file}: expected YAML, got ${what}`);
  if (text.length > charsMax) throw refuse(`more than ${charsMax} characters`);
  if (isDeep(text))
    throw refuse(`a text nested deeper than ${depthMax}, or with a line above ${lineCharsMax} characters`);
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, { uniqueKeys: true, lineCounter, logLevel: 'error' });
  } catch {
    // The parser goes down a level for each bracket.
    throw refuse('a text that is nested too deeply');
  }
  const [broken] = document.errors;
  if (broken === undefined) return document;
  const line = broken.linePos?.[0].line ?? 0;
  throw refuse(`a text that breaks off at line ${line} (${broken.code.toLowerCase()})`);
}

/** Brackets in texts and comments count too: nobody has so many more open than closed ones. */
function isDeep(text: string): boolean {
  let depth = 0;
  let lineStart = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '[' || char === '{') depth += 1;
    else if (char === ']' || char === '}') depth -= 1;
    else if (char === '\n') lineStart = at + 1;
    if (depth > depthMax || at - lineStart > lineCharsMax) return true;
  }
  return false;
}

/** Aliases are fine, as long as they don't multiply. */
function readValue(document: ReturnType<typeof parseDocument>, file: string, code: GatewayErrorCode): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new GatewayError(code, `${file}: expected at most 100 uses of anchors, got more or an unknown one`, {
      cause,
    });
  }
}

function explain(schema: z.ZodType, issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path);
    return issue.keys
      .slice(0, 10)
      .map((key) => {
        const near = nearest(key, known);
        const advice = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
        return `unknown key ${shownPath([...issue.path, key])}; ${advice}`;
      })
      .join('; ');
  }
  const at = issue.path.length === 0 ? 'the document' : shownPath(issue.path);
  return `${at}: ${issue.message}`;
}

/** A key that is a whole map, or breaks the line, is left out: it would stand there with values in it, and as a line of its own. */
export function shownPath(path: readonly PropertyKey[]): string {
  return path
    .map((step) => (/^(?![{[])[^\p{Cc}\p{Zl}\p{Zp}]{1,128}$/u.test(String(step)) ? String(step) : '(no plain key)'))
    .join('.');
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
}

function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let node: SchemaNode | undefined = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as SchemaNode;
  for (const step of path) {
    if (node === undefined) return [];
    const additional: SchemaNode | undefined =
      typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
    node = typeof step === 'number' ? node.items : (node.properties?.[String(step)] ?? additional);
  }
  return Object.keys(node?.properties ?? {});
}

/** The known key within two edits of the unknown one, or the one it begins. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: editDistance(key.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const [best] = ranked;
  return best !== undefined && best.edits <= Math.max(2, Math.floor(key.length / 3)) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, position) => position);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
