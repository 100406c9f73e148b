/**
 * Who may do what, by role: a YAML document compiled to tables. A role that isn't named may do nothing; a rule only ever allows. The SMART
 * scopes of the token narrow it further (scope.ts): both have to agree. docs/policy.md has every key.
 *
 *     version: 1
 *     roles:
 *       nurse:
 *         allow:
 *           - interactions: [read, search]
 *             types: ['*']
 *           - operations: ['$everything']
 *             types: [Patient]
 */
import { GatewayError } from '../errors.ts';
import { compilePolicy } from './compile.ts';
import { policySchema } from './policy-schema.ts';
import { readStrictYaml, shownPath } from './strict-yaml.ts';
import type { Policy } from './tables.ts';

const problemsMax = 10;

/** Throws `policy-invalid` with every problem, its file, its line, its place and what was expected. */
export function parsePolicy(text: string, file: string): Policy {
  const { value, lineOf } = readStrictYaml(text, { schema: policySchema, file, code: 'policy-invalid' });
  const compiled = compilePolicy(value, text, lineOf);
  if (compiled.kind === 'policy') return compiled.policy;
  const lines = compiled.problems
    .slice(0, problemsMax)
    .map(({ path, message }) => `${file}: line ${lineOf(path)}: ${shownPath(path)}: ${message}`);
  throw new GatewayError('policy-invalid', lines.join('\n'));
}
