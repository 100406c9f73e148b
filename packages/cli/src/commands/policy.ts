/**
 * `watchglass policy test|explain`: what a policy of the gateway says to requests that nobody makes, and why. Reads files, and starts nothing.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { CaseResult, Explanation, Policy } from '@watchglass/gateway';
import { CliError, messageOf, systemCodeOf } from '../errors.ts';
import { type Io, paint, printJson, printLine } from '../io.ts';

export interface TestOptions {
  readonly policy: string;
  readonly case: string;
  readonly json?: boolean;
}

export interface ExplainOptions {
  readonly policy: string;
  readonly role: readonly string[];
  readonly method: string;
  readonly path: string;
  readonly prefix: string;
  readonly map?: string;
  readonly scope: string;
  readonly patient?: string;
  readonly purpose?: string;
  readonly at?: string;
  readonly from?: string;
  readonly acr?: string;
  readonly amr: readonly string[];
  readonly mfa?: boolean;
  readonly signedIn?: string;
  readonly glassPatient?: string;
  readonly json?: boolean;
}

export async function testPolicy(options: TestOptions, io: Io): Promise<void> {
  const { runCases } = await import('@watchglass/gateway');
  const policy = await readPolicy(options.policy, io);
  const results = await refusing(async () =>
    runCases(policy, await readText(options.case, io), {
      file: options.case,
      folder: dirname(resolve(io.cwd, options.case)),
      nowMs: Date.now(),
    }),
  );
  const failed = results.filter(({ passed }) => !passed);
  if (options.json === true)
    printJson(io, {
      ok: failed.length === 0,
      sha256: policy.digest,
      cases: results.map(({ name, passed, expected, got }) => ({ name, passed, expected, got })),
    });
  else for (const result of results) printResult(result, io);
  if (failed.length > 0)
    throw new CliError('config-invalid', `${failed.length} of ${results.length} cases came out otherwise`, {
      remedy: 'Correct the policy, or the case; `watchglass policy explain` says which rules speak of a request.',
    });
}

export async function explainPolicy(options: ExplainOptions, io: Io): Promise<void> {
  const { explain, readJsonMap, summary } = await import('@watchglass/gateway');
  const atMs = options.at === undefined ? Date.now() : Date.parse(options.at);
  const ago = options.signedIn === undefined ? undefined : Number(options.signedIn);
  if (Number.isNaN(atMs)) throw new CliError('usage', 'expected --at to be a moment such as 2026-11-24T18:30:00Z');
  if (Number.isNaN(ago)) throw new CliError('usage', 'expected --signed-in to be a number of seconds');
  const policy = await readPolicy(options.policy, io);
  const { role, scope, mfa, method } = options;
  const file = options.map === undefined ? undefined : resolve(io.cwd, options.map);
  const map = file === undefined ? undefined : await refusing(async () => readJsonMap(file));
  const explanation = explain(policy, {
    ...options,
    map,
    method: method.toUpperCase(),
    roles: role,
    scopes: scope,
    mfa: mfa === true,
    atMs,
    signedInSecondsAgo: ago,
  });
  const said = summary(explanation);
  if (options.json === true) {
    const considered = explanation.kind === 'explained' ? explanation.considered : [];
    const operation = explanation.kind === 'explained' ? explanation.interaction.operation : null;
    printJson(io, { ...said, operation, considered, sha256: policy.digest });
    return;
  }
  printLine(io, `${said.outcome}${said.reason === undefined ? '' : `: ${said.reason}`}${ruleWords(said.rule)}`);
  printConsidered(explanation, options.policy, io);
}

function ruleWords(rule: string | undefined): string {
  return rule === undefined ? '' : `, by ${rule}`;
}

function printConsidered(explanation: Explanation, file: string, io: Io): void {
  if (explanation.kind === 'no-request') {
    printLine(io, '  it would not get as far as the policy');
    return;
  }
  const { interaction, considered } = explanation;
  printLine(io, `  it is ${interaction.operation}${interaction.type === undefined ? '' : ` of ${interaction.type}`}`);
  if (considered.length === 0) printLine(io, '  no rule of these roles speaks of it');
  for (const { rule, line, kind, result } of considered) {
    const what = result === 'holds' ? 'holds' : `does not hold: ${result}`;
    printLine(io, `  ${file}:${line} ${kind} ${rule}: ${what}`);
  }
}

function printResult({ name, passed, expected, got }: CaseResult, io: Io): void {
  if (passed) printLine(io, `${paint(io, io.stdout, 'green', '✔')} ${name}: ${got}`);
  else printLine(io, `${paint(io, io.stdout, 'red', '✘')} ${name}: expected ${expected}, got ${got}`);
}

async function readPolicy(file: string, io: Io): Promise<Policy> {
  const { loadPolicy } = await import('@watchglass/gateway');
  return await refusing(() => Promise.resolve(loadPolicy(resolve(io.cwd, file))));
}

async function readText(file: string, io: Io): Promise<string> {
  try {
    return await readFile(resolve(io.cwd, file), 'utf8');
  } catch (cause) {
    throw new CliError('file-unreadable', `expected cases in ${file}, got ${systemCodeOf(cause) ?? 'an error'}`, {
      cause,
      remedy: 'Check the path, and who may read it.',
    });
  }
}

/** What is wrong with a file is said with its places; it is no fault of the program. */
async function refusing<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError('config-invalid', messageOf(cause), {
      cause,
      remedy: 'Correct what is named above; docs/policy.md has every key.',
    });
  }
}
