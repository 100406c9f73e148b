/**
 * The policy from its files: the YAML, and the Cedar policies it names, whose path starts at the YAML's folder. All of it is read and checked, or an
 * error says what was expected where.
 */
import { dirname, resolve } from 'node:path';
import { loadCedar } from './cedar.ts';
import { readNamedFile } from './named-file.ts';
import { parsePolicy } from './policy.ts';
import type { Policy } from './tables.ts';

/** Throws `config-unreadable` or `policy-invalid`. */
export function loadPolicy(file: string): Policy {
  return completePolicy(parsePolicy(readNamedFile(file, 'policy'), file), file);
}

/** The texts of a policy, so that another process has the very same one in force. */
export interface PolicyTexts {
  readonly text: string;
  /** Of the Cedar policies it names. */
  readonly cedar?: string;
}

export function policyTexts({ text, engine }: Policy): PolicyTexts {
  return { text, ...(engine === undefined ? {} : { cedar: engine.text }) };
}

/** Throws `policy-invalid`; reads `config-unreadable` files only where a text is missing. */
export function policyFromTexts({ text, cedar }: PolicyTexts, file: string): Policy {
  return completePolicy(parsePolicy(text, file), file, cedar);
}

/** A parsed policy with its Cedar policies: their text where it was read already. */
export function completePolicy(policy: Policy, file: string, text?: string): Policy {
  const path = cedarPath(policy, file);
  return path === undefined ? policy : { ...policy, engine: loadCedar(text ?? readNamedFile(path, 'policy'), path) };
}

export function cedarPath({ cedar }: Policy, file: string): string | undefined {
  return cedar === undefined ? undefined : resolve(dirname(file), cedar.file);
}
