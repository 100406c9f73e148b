/**
 * `watchglass monitor URL`: follows the public logs of a server from outside, without signing in, and says when a log is not the one it was:
 * rolled back, rewritten, shown to different people differently, signed by a key that nothing explains, gone, or silent. Runs until Ctrl-C, or once (`--once`, for cron);
 * ends with 3 when anything was found.
 */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, openClient } from '../client.ts';
import { findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { parseGivenKey } from '../known-logs.ts';
import { parseSpan } from '../moment.ts';
import type { FollowFinding } from '../verify/follow-log.ts';
import { keepEvidence, type Remembered, readRemembered, remember } from '../verify/follow-state.ts';
import { lookAtLog, type News } from '../verify/look-at-log.ts';
import { listLogs } from '../verify/remote-log.ts';
import type { LogName } from '../verify/remote-statements.ts';
import { grouped } from '../verify/report.ts';

export interface MonitorOptions {
  readonly json?: boolean;
  readonly state?: string;
  readonly interval: string;
  readonly timeout: string;
  readonly staleAfter: string;
  readonly once?: boolean;
  readonly tenant?: string;
  readonly vkey?: string;
  readonly ca?: string;
}

/** Of any answer: the widest tile of entries of ours has 9 KiB. */
const answerMebibytes = 20;

interface Monitor {
  readonly client: Client;
  readonly dir: string;
  readonly timeoutMs: number;
  readonly staleMs: number;
  readonly vkey: string | undefined;
  readonly tenant: string | undefined;
  readonly json: boolean;
  readonly io: Io;
  /** By tenant: what was found at the last look, so that it is said once. */
  readonly said: Map<string, string>;
}

export async function monitor(url: string, options: MonitorOptions, io: Io): Promise<void> {
  const intervalMs = parseSpan(options.interval, '--interval');
  const timeoutMs = parseSpan(options.timeout, '--timeout');
  const connection = await findConnection({ server: url, ...(options.ca === undefined ? {} : { ca: options.ca }) }, io);
  await using client = openClient({ ...connection, token: undefined }, timeoutMs, answerMebibytes);
  const watching: Monitor = {
    client,
    dir: resolve(io.cwd, options.state ?? join('.watchglass-monitor')),
    timeoutMs,
    staleMs: parseSpan(options.staleAfter, '--stale-after'),
    vkey: options.vkey === undefined ? undefined : parseGivenKey(options.vkey),
    tenant: options.tenant,
    json: options.json === true,
    io,
    said: new Map(),
  };
  let found = 0;
  for (;;) {
    try {
      found += await look(watching);
    } catch (error) {
      if (io.signal.aborted) break;
      if (options.once === true || !isPassing(error)) throw error;
      say(watching, { tenant: '', code: 'unreachable', message: error.message });
    }
    if (options.once === true) break;
    try {
      await delay(intervalMs, undefined, { signal: io.signal });
    } catch {
      break;
    }
  }
  if (found > 0) {
    throw new CliError('not-intact', `${connection.url}: ${grouped(found)} finding${found === 1 ? '' : 's'}`, {
      remedy: `The remembered and the contradicting checkpoints are kept in ${watching.dir}; keep a copy of it, and ask whoever runs the log.`,
    });
  }
}

/** A server that is away for a while, or answers with something else for a while, doesn't end the watch. */
function isPassing(error: unknown): error is CliError {
  return error instanceof CliError && ['unreachable', 'api', 'answer-invalid'].includes(error.code);
}

/** One look at every log: how many findings are new. */
async function look(watching: Monitor): Promise<number> {
  const { client, dir } = watching;
  const known = await readRemembered(dir, client.url);
  // A server that lists no log at all is still asked for those that it had.
  const listed = await inTime(watching, (signal) => listLogs(client, undefined, signal));
  const logs = [...listed, ...known.values()];
  if (watching.vkey !== undefined && !logs.some(({ origin }) => watching.vkey?.startsWith(`${origin}+`)))
    throw new CliError(
      'usage',
      `the server has no log that --vkey is of: ${logs.map(({ origin }) => origin).join(', ')}`,
    );
  const wanted = (tenant: string): boolean => watching.tenant === undefined || watching.tenant === tenant;
  const findings = new Map<string, FollowFinding>();
  for (const log of listed.filter(({ tenant }) => wanted(tenant))) {
    const finding = await lookAt(log, known.get(log.tenant), watching);
    if (finding !== undefined) findings.set(log.tenant, finding);
  }
  for (const { tenant } of known.values()) {
    if (!wanted(tenant) || listed.some((log) => log.tenant === tenant)) continue;
    findings.set(tenant, { code: 'log-gone', tenant, message: 'the server no longer lists this log' });
  }
  if (watching.tenant !== undefined && !known.has(watching.tenant) && !listed.some(({ tenant }) => wanted(tenant))) {
    throw new CliError('usage', `the server has no log of ${watching.tenant}`);
  }
  let fresh = 0;
  for (const [tenant, finding] of findings) {
    const text = `${finding.code} ${finding.message}`;
    if (watching.said.get(tenant) === text) continue;
    watching.said.set(tenant, text);
    fresh += 1;
    const log = known.get(tenant);
    const kept =
      finding.evidence === undefined || log === undefined
        ? undefined
        : await keepEvidence(dir, log, finding.code, finding.evidence);
    say(watching, { tenant, code: finding.code, message: finding.message, ...(kept === undefined ? {} : { kept }) });
  }
  for (const tenant of watching.said.keys()) if (!findings.has(tenant)) watching.said.delete(tenant);
  return fresh;
}

async function lookAt(
  log: LogName,
  before: Remembered | undefined,
  watching: Monitor,
): Promise<FollowFinding | undefined> {
  const { client, dir } = watching;
  const given = watching.vkey?.startsWith(`${log.origin}+`) === true ? watching.vkey : undefined;
  const { next, news, finding } = await inTime(watching, (signal) => lookAtLog({ client, log, before, given, signal }));
  if (next === undefined) return finding;
  const now = new Date();
  const { memory, head, grew } = next;
  const remembered: Remembered = {
    url: client.url,
    ...log,
    ...memory,
    since: before?.since ?? now.toISOString(),
    checkpoint: head.note,
    grewAt: grew || before === undefined ? now.toISOString() : before.grewAt,
  };
  if (grew || memory.keys !== before?.keys || memory.given !== before?.given) await remember(dir, remembered);
  for (const { code, message } of news) tell(watching, { at: now.toISOString(), ...log, code, message });
  if (grew) {
    const root = Buffer.from(head.root).toString('hex');
    if (watching.json) printJson(watching.io, { kind: 'head', at: now.toISOString(), ...log, size: head.size, root });
    else {
      const how = before?.origin === log.origin ? 'grown as it should' : howFirst(given, before);
      printLine(watching.io, `${log.tenant}  ${grouped(head.size)} events  root ${root.slice(0, 16)}…  ${how}`);
    }
    return finding;
  }
  const silentMs = now.getTime() - Date.parse(remembered.grewAt);
  if (finding !== undefined || silentMs <= watching.staleMs) return finding;
  return { code: 'stale', tenant: log.tenant, message: `nothing new since ${remembered.grewAt}, not even a heartbeat` };
}

function howFirst(given: string | undefined, before: Remembered | undefined): string {
  if (before !== undefined) return 'goes on from the log followed before';
  return given === undefined ? 'first seen; its key is remembered' : 'first seen, by the key you gave';
}

/** An answer that doesn't end is given up. */
async function inTime<T>({ timeoutMs, client, io }: Monitor, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(timeoutMs);
  try {
    return await ask(AbortSignal.any([io.signal, late]));
  } catch (error) {
    if (!late.aborted || io.signal.aborted) throw error;
    throw new CliError('unreachable', `${client.url} did not answer within ${timeoutMs / 1_000} s`, { cause: error });
  }
}

function say(
  { json, io }: Monitor,
  said: { readonly tenant: string; readonly code: string; readonly message: string; readonly kept?: string },
): void {
  const at = new Date().toISOString();
  if (json) printJson(io, { kind: said.code === 'unreachable' ? 'unreachable' : 'finding', at, ...said });
  else if (said.code === 'unreachable') note(io, `${at}  ${said.message}`);
  else {
    const kept = said.kept === undefined ? '' : `; kept as ${said.kept}`;
    printLine(io, `${paint(io, io.stdout, 'red', '✘')} ${said.tenant}: ${said.message} [${said.code}]${kept}`);
  }
}

/** Something that changed as it should. */
function tell({ json, io }: Monitor, said: News & LogName & { readonly at: string }): void {
  if (json) printJson(io, { kind: 'news', ...said });
  else printLine(io, `${said.tenant}: ${said.message} [${said.code}]`);
}
