/**
 * The vocabulary in which `event-schema.ts` describes an event once. The parser (`validate.ts`), the encoder
 * (`encode.ts`) and the published JSON Schema (`json-schema.ts`) are all derived from such a description.
 *
 * Every text and list has a bound; every object is closed.
 */
import type { TextFormat } from './text-format.ts';

export type Shape =
  | { readonly type: 'constant'; readonly value: number }
  | { readonly type: 'choice'; readonly values: readonly string[] }
  | { readonly type: 'text'; readonly format: TextFormat; readonly charsMin: number; readonly charsMax: number }
  | { readonly type: 'number'; readonly whole: boolean; readonly min: number; readonly max: number }
  | { readonly type: 'boolean' }
  | { readonly type: 'list'; readonly of: Shape; readonly itemsMax: number }
  | { readonly type: 'either'; readonly text: Shape; readonly number: Shape }
  | ObjectShape;

export interface ObjectShape {
  readonly type: 'object';
  /** In the order in which they are encoded. */
  readonly members: readonly Member[];
}

export interface Member {
  readonly name: string;
  readonly required: boolean;
  readonly shape: Shape;
  readonly about?: string;
}

export function text(format: TextFormat, charsMax: number, charsMin = 1): Shape {
  return { type: 'text', format, charsMin, charsMax };
}

export function choice(values: readonly string[]): Shape {
  return { type: 'choice', values };
}

export function constant(value: number): Shape {
  return { type: 'constant', value };
}

export function whole(min: number, max: number): Shape {
  return { type: 'number', whole: true, min, max };
}

export function decimal(min: number, max: number): Shape {
  return { type: 'number', whole: false, min, max };
}

export const flag: Shape = { type: 'boolean' };

export function list(of: Shape, itemsMax: number): Shape {
  return { type: 'list', of, itemsMax };
}

export function object(...members: readonly Member[]): ObjectShape {
  return { type: 'object', members };
}

export function required(name: string, shape: Shape, about?: string): Member {
  return about === undefined ? { name, required: true, shape } : { name, required: true, shape, about };
}

export function optional(name: string, shape: Shape, about?: string): Member {
  return about === undefined ? { name, required: false, shape } : { name, required: false, shape, about };
}
