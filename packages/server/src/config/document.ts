/** A text of YAML, held to the schema of its settings: refused as a whole, with every place and what to do. */
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { ConfigError } from './error.ts';
import type { ConfigKey } from './key-list.ts';
import { sayIssue } from './problems.ts';

/** Aliases that stand for more aliases would make a small file a large one. */
const aliasesMax = 50;

/** `file` names it in messages; of `keys` a missing one is told what it is. Throws `ConfigError`. */
export function readDocument<T>(
  text: string,
  file: string,
  { schema, keys }: { readonly schema: z.ZodType<T>; readonly keys: readonly ConfigKey[] },
): T {
  const value = readValue(text, file);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    file,
    parsed.error.issues.flatMap((issue) => sayIssue(issue, value, keys)),
  );
}

function readValue(text: string, file: string): unknown {
  const document = parseDocument(text, { uniqueKeys: true, strict: true });
  if (document.errors.length > 0)
    throw new ConfigError(
      file,
      document.errors.map((error) => `not YAML: ${error.message.split('\n')[0]}`),
    );
  try {
    return document.toJS({ maxAliasCount: aliasesMax }) ?? {};
  } catch (cause) {
    throw new ConfigError(
      file,
      [`its aliases can't be followed; use at most ${aliasesMax}, each after its anchor`],
      cause,
    );
  }
}
