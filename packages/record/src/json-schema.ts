/** A description as JSON Schema 2020-12. Texts are bounded in Unicode code points, as `maxLength` counts them. */
import type { Shape } from './shape.ts';
import { textRules } from './text-format.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

export function jsonSchemaOf(shape: Shape): JsonSchema {
  switch (shape.type) {
    case 'constant':
      return { const: shape.value };
    case 'choice':
      return { enum: shape.values };
    case 'boolean':
      return { type: 'boolean' };
    case 'number':
      return { type: shape.whole ? 'integer' : 'number', minimum: shape.min, maximum: shape.max };
    case 'text':
      return {
        type: 'string',
        minLength: shape.charsMin,
        maxLength: shape.charsMax,
        ...textRules[shape.format].jsonSchema,
      };
    case 'list':
      return { type: 'array', maxItems: shape.itemsMax, items: jsonSchemaOf(shape.of) };
    case 'either':
      return { anyOf: [jsonSchemaOf(shape.text), jsonSchemaOf(shape.number)] };
    case 'object': {
      const properties: Record<string, JsonSchema> = {};
      for (const { name, shape: of, about } of shape.members) {
        properties[name] = about === undefined ? jsonSchemaOf(of) : { description: about, ...jsonSchemaOf(of) };
      }
      const required = shape.members.filter((member) => member.required).map((member) => member.name);
      return { type: 'object', additionalProperties: false, ...(required.length > 0 && { required }), properties };
    }
    default:
      return shape satisfies never;
  }
}
