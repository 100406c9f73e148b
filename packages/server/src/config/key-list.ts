/** The keys of a configuration as a list, from its schema: for the documentation, and for who misspells one. */
import { z } from 'zod';

export interface ConfigKey {
  /** e.g. `listen.port`. */
  readonly key: string;
  readonly required: boolean;
  /** As YAML; undefined when there is none. */
  readonly fallback: string | undefined;
  readonly description: string;
}

export function keysOf(schema: z.ZodType): readonly ConfigKey[] {
  return [...keysIn(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema, '')];
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
}

function* keysIn(node: JsonSchema, prefix: string): Generator<ConfigKey> {
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const key = `${prefix}${name}`;
    const fallback =
      child.default === undefined || child.properties !== undefined ? undefined : JSON.stringify(child.default);
    yield {
      key,
      required: node.required?.includes(name) === true,
      fallback: fallback?.replaceAll('"', ''),
      description: child.description ?? '',
    };
    yield* keysIn(child, `${key}.`);
  }
}
