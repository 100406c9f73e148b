/** The words in which the description of the API is written: schemas, answers, operations. */
export type Json = Readonly<Record<string, unknown>>;

export const jsonOf = (schema: Json): Json => ({ 'application/json': { schema } });
export const textOf = (description: string): Json => ({
  description,
  content: { 'text/plain': { schema: { type: 'string' } } },
});
export const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
export const answer = (description: string, schema: Json): Json => ({ description, content: jsonOf(schema) });
export const list = (items: Json): Json => ({ type: 'array', items });
export const whole: Json = { type: 'integer', minimum: 0 };
export const text: Json = { type: 'string' };
export const base64: Json = { type: 'string', contentEncoding: 'base64' };
export const object = (properties: Json, required: readonly string[] = Object.keys(properties)): Json => ({
  type: 'object',
  properties,
  required,
});

export const path = (name: string, schema: Json = text): Json => ({ name, in: 'path', required: true, schema });
export const tenantParameter: Json = {
  name: 'tenant',
  in: 'query',
  schema: { type: 'string', description: 'For the operator where there are several tenants.' },
};
export const body = (schema: Json): Json => ({ required: true, content: jsonOf(schema) });

export const signedIn: readonly Json[] = [{ token: [] }, { session: [] }];
export const problems = (...statuses: readonly number[]): Json =>
  Object.fromEntries(statuses.map((status) => [String(status), { $ref: '#/components/responses/Problem' }]));

export interface Operation {
  readonly summary: string;
  readonly parameters?: readonly Json[];
  readonly requestBody?: Json;
  readonly responses: Json;
  readonly security?: readonly Json[];
}
