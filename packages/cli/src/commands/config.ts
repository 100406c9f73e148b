/**
 * `watchglass config check`: reads configurations exactly as `serve` and `gateway` would, and starts nothing. Which of the two a file is
 * stands in it: only a gateway has an upstream.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import { CliError, messageOf, systemCodeOf } from '../errors.ts';
import { type Io, paint, printJson, printLine } from '../io.ts';

export interface CheckOptions {
  readonly json?: boolean;
}

interface Checked {
  readonly file: string;
  readonly kind: 'server' | 'gateway' | 'unknown';
  readonly ok: boolean;
  /** A line each: place, what is wrong, what to do. */
  readonly problems: readonly string[];
}

const usualFiles = ['watchglass.yaml', 'gateway.yaml'];

export async function checkConfig(files: readonly string[], options: CheckOptions, io: Io): Promise<void> {
  const named = files.length > 0 ? files : usualFiles.filter((file) => existsSync(resolve(io.cwd, file)));
  if (named.length === 0) {
    throw new CliError('usage', `there is neither ${usualFiles.join(' nor ')} in this folder`, {
      remedy: 'Name the files, or write them with `watchglass init`.',
    });
  }
  const checked: Checked[] = [];
  for (const file of named) checked.push(await checkFile(file, io));
  const wrong = checked.filter(({ ok }) => !ok);
  if (options.json === true) printJson(io, { ok: wrong.length === 0, files: checked });
  else for (const one of checked) printChecked(one, io);
  if (wrong.length > 0) {
    throw new CliError('config-invalid', `${wrong.length} of ${checked.length} configurations cannot be used`, {
      remedy: 'Correct what is named above; docs/configuration.md and docs/gateway.md have every key.',
    });
  }
}

async function checkFile(file: string, io: Io): Promise<Checked> {
  const path = resolve(io.cwd, file);
  let kind: Checked['kind'] = 'unknown';
  try {
    kind = kindOf(await readFile(path, 'utf8'));
    if (kind === 'gateway') await (await import('@watchglass/gateway')).readGatewayConfig(path);
    else await (await import('@watchglass/server')).readConfig(path);
    return { file, kind, ok: true, problems: [] };
  } catch (error) {
    const missing = systemCodeOf(error) === 'ENOENT' && kind === 'unknown';
    return { file, kind, ok: false, problems: missing ? ['there is no such file'] : problemsOf(error, path) };
  }
}

/** What doesn't parse is left to the reader of the server's, whose message names the line. */
function kindOf(text: string): 'server' | 'gateway' {
  try {
    const value: unknown = parse(text);
    return typeof value === 'object' && value !== null && 'upstream' in value ? 'gateway' : 'server';
  } catch {
    return 'server';
  }
}

/** A line each, without the name of the file, which stands before it anyway. */
function problemsOf(error: unknown, path: string): readonly string[] {
  const listed = typeof error === 'object' && error !== null && 'problems' in error ? error.problems : undefined;
  const lines = Array.isArray(listed) ? listed.map(String) : messageOf(error).split('\n');
  return lines.map((line) => (line.startsWith(`${path}: `) ? line.slice(path.length + 2) : line));
}

function printChecked({ file, kind, ok, problems }: Checked, io: Io): void {
  if (ok) printLine(io, `${paint(io, io.stdout, 'green', '✔')} ${file}: a ${kind} can start with it`);
  for (const problem of problems) printLine(io, `${paint(io, io.stdout, 'red', '✘')} ${file}: ${problem}`);
}
