/**
 * What a value of a YAML file should have been, in the words of who writes the file. It stands where a schema has no words of its own, and never repeats the value.
 */
import type { z } from 'zod';

const kinds: Readonly<Record<string, string>> = {
  object: 'keys below it',
  record: 'keys below it',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};
const countedIn: Readonly<Record<string, string>> = { string: ' characters', array: ' of them' };

/** For `safeParse`; undefined leaves the library's own words. */
export function expectedWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${kinds[issue.expected] ?? issue.expected}, got ${found(issue.input)}`;
    case 'too_small':
      return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${countedIn[issue.origin] ?? ''}`;
    case 'too_big':
      return `expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${countedIn[issue.origin] ?? ''}`;
    case 'invalid_value':
      return `expected ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return undefined;
  }
}

function found(input: unknown): string {
  if (input === undefined) return 'nothing';
  if (input === null) return 'an empty value';
  if (Array.isArray(input)) return 'a list';
  return kinds[typeof input] ?? 'something else';
}
