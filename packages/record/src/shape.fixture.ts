/**
 * For tests: values that a description allows, an independent judge of its JSON Schema, and ways to spoil a value.
 */
import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import type { JsonSchema } from './json-schema.ts';
import type { Shape } from './shape.ts';
import type { TextFormat } from './text-format.ts';

/** Values that the description allows. */
export function arbitraryOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.type) {
    case 'constant':
      return fc.constant(shape.value);
    case 'choice':
      return fc.constantFrom(...shape.values);
    case 'boolean':
      return fc.boolean();
    case 'number':
      return shape.whole
        ? fc.maxSafeInteger().map((n) => shape.min + (Math.abs(n) % (shape.max - shape.min + 1)))
        : fc.double({ min: shape.min, max: shape.max, noNaN: true }).map((n) => n + 0);
    case 'text':
      return textOf(shape.format, shape.charsMin, shape.charsMax);
    case 'list':
      return fc.array(arbitraryOf(shape.of), { maxLength: Math.min(shape.itemsMax, 4) });
    case 'either':
      return fc.oneof(arbitraryOf(shape.text), arbitraryOf(shape.number));
    case 'object':
      return fc.record(Object.fromEntries(shape.members.map(({ name, shape: of }) => [name, arbitraryOf(of)])), {
        noNullPrototype: true,
        requiredKeys: shape.members.filter((member) => member.required).map((member) => member.name),
      });
    default:
      return shape satisfies never;
  }
}

const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });

function textOf(format: TextFormat, charsMin: number, charsMax: number): fc.Arbitrary<string> {
  const size = { minLength: charsMin, maxLength: charsMax, size: 'medium' } as const;
  const time = (decimals: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc
      .tuple(fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }), decimals)
      .map(([date, fraction]) => `${date.toISOString().slice(0, 19)}${fraction}Z`);
  switch (format) {
    case 'line':
      return fc
        .string({ ...size, unit: 'grapheme' })
        .map((text) => clip(text.replace(/[^\x20-\x7e\u00c0-\u1fff\u{1f300}-\u{1f5ff}]/gu, 'ß'), charsMin, charsMax));
    case 'name':
      return textOf('line', charsMin, charsMax).map((text) => text.replace(/^ | $/g, 'n'));
    case 'code':
      return fc.string({ ...size, unit: 'grapheme-ascii' }).map((text) => text.replaceAll(' ', '_'));
    case 'bare-id':
      return fc.string({ ...size, unit: fc.constantFrom(...'abcXYZ0189._:-') });
    case 'uuidv7':
      return hex(32).map(
        (h) => `${h.slice(0, 8)}-${h.slice(8, 12)}-7${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20)}`,
      );
    case 'time':
      return time(fc.constantFrom('', '.1', '.123', '.123456789'));
    case 'time-ms':
      return time(fc.constantFrom('.000', '.999'));
    case 'tenant':
      return fc.string({ unit: fc.constantFrom(...'abz019-'), maxLength: 62 }).map((text) => `a${text}`);
    case 'address':
      return fc.oneof(fc.ipV4(), fc.ipV6());
    case 'country':
      return fc.string({ unit: fc.constantFrom(...'ABXYZ'), minLength: 2, maxLength: 2 });
    case 'traceparent':
      return fc.tuple(hex(31), hex(15), hex(2)).map(([trace, span, flags]) => `00-1${trace}-1${span}-${flags}`);
    case 'pointer':
      return fc.string({ ...size, minLength: 0, unit: 'grapheme-ascii' }).map((text) => clip(`/${text}`, 0, charsMax));
    case 'sha256-hex':
      return hex(64);
    default:
      return format satisfies never;
  }
}

function clip(text: string, charsMin: number, charsMax: number): string {
  return [...text].slice(0, charsMax).join('').padEnd(charsMin, 'x');
}

/** Does the value follow the schema? Knows the keywords that `jsonSchemaOf` writes, and throws on others. */
export function follows(schema: JsonSchema, value: unknown): boolean {
  return Object.entries(schema).every(([keyword, rule]) => {
    const keep = keywords[keyword];
    if (keep === undefined) throw new Error(`unknown keyword ${keyword}`);
    return keep(rule as never, value, schema);
  });
}

type Keyword = (rule: never, value: unknown, schema: JsonSchema) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const keywords: Readonly<Record<string, Keyword>> = {
  $schema: () => true,
  $id: () => true,
  title: () => true,
  description: () => true,
  const: (rule, value) => value === rule,
  enum: (rule: readonly unknown[], value) => rule.includes(value),
  type: (rule: string, value) => isOfType(rule, value),
  minimum: (rule: number, value) => typeof value !== 'number' || value >= rule,
  maximum: (rule: number, value) => typeof value !== 'number' || value <= rule,
  minLength: (rule: number, value) => typeof value !== 'string' || [...value].length >= rule,
  maxLength: (rule: number, value) => typeof value !== 'string' || [...value].length <= rule,
  pattern: (rule: string, value) => typeof value !== 'string' || new RegExp(rule, 'u').test(value),
  format: (rule: string, value) => typeof value !== 'string' || isOfFormat(rule, value),
  maxItems: (rule: number, value) => !Array.isArray(value) || value.length <= rule,
  items: (rule: JsonSchema, value) => !Array.isArray(value) || value.every((item) => follows(rule, item)),
  anyOf: (rule: readonly JsonSchema[], value) => rule.some((schema) => follows(schema, value)),
  required: (rule: readonly string[], value) => !isObject(value) || rule.every((name) => Object.hasOwn(value, name)),
  additionalProperties: (_rule, value, { properties }) =>
    !isObject(value) || Object.keys(value).every((name) => Object.hasOwn(properties as object, name)),
  properties: (rule: Record<string, JsonSchema>, value) =>
    !isObject(value) ||
    Object.entries(value).every(
      ([name, item]) => !Object.hasOwn(rule, name) || follows(rule[name] as JsonSchema, item),
    ),
};

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return Number.isFinite(value);
    default:
      return typeof value === type;
  }
}

function isOfFormat(format: string, value: string): boolean {
  if (format === 'ipv4') return isIPv4(value);
  if (format === 'ipv6') return isIPv6(value) && !value.includes('%');
  if (format !== 'date-time') throw new Error(`unknown format ${format}`);
  const date = new Date(`${value.slice(0, 19)}Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 19) === value.slice(0, 19);
}

const spoilers: readonly unknown[] = [
  null,
  '',
  ' ',
  ' x',
  'x ',
  'x',
  'X'.repeat(64),
  'y'.repeat(257),
  'é'.repeat(600),
  '\u0007',
  '\ud800',
  'a\u202eb',
  '👩‍⚕️'.repeat(30),
  0,
  -1,
  1.5,
  2 ** 53,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  true,
  [],
  [[]],
  new Array(2000).fill('a'),
  {},
  { id: 'x' },
  '2026-02-30T00:00:00Z',
  '2024-02-29T23:59:59.5Z',
  '2026-01-01T00:00:00+01:00',
  '2026-01-01T24:00:00Z',
  '256.1.1.1',
  '01.2.3.4',
  '::1',
  'fe80::1%eth0',
  '1:2:3:4:5:6:7:8:9',
  '::ffff:127.0.0.1',
  '01890A5D-AC96-774B-BCCE-B302099A8057',
  '01890a5d-ac96-474b-bcce-b302099a8057',
  '/a/b',
  'Patient/123',
  'read',
];

/** The value with one place replaced, removed or added to, chosen by `choice`. */
export function spoil(
  value: unknown,
  choice: { readonly where: number; readonly what: number; readonly how: number },
): unknown {
  const copy = structuredClone(value);
  const places: [Record<string, unknown>, string][] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, unknown>, key]);
      visit((node as Record<string, unknown>)[key]);
    }
  };
  visit(copy);
  const place = places[choice.where % places.length];
  if (place === undefined) return copy;
  const [parent, key] = place;
  const how = choice.how % 10;
  if (how === 0 && !Array.isArray(parent)) delete parent[key];
  else if (how === 1 && !Array.isArray(parent)) parent[`${key}x`] = 1;
  else parent[key] = structuredClone(spoilers[choice.what % spoilers.length]);
  return copy;
}

/** Choices for `spoil`. */
export const spoiling: fc.Arbitrary<{ where: number; what: number; how: number }> = fc.record({
  where: fc.nat(),
  what: fc.nat(),
  how: fc.nat(),
});
