/** `watchglass decisions add|list|lift`: who is blocked at the gateways, or has to sign in better. Gateways have it within a second. */
import { openClient } from '../client.ts';
import { findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, paint, printJson, printLine } from '../io.ts';
import { type RetentionOptions, tenantBody } from './retention.ts';

export interface DecisionOptions extends RetentionOptions {
  readonly address?: string;
  readonly actor?: string;
  readonly client?: string;
  readonly session?: string;
  /** Ask for a better sign-in instead of blocking. */
  readonly stepUp?: boolean;
  readonly for?: number;
  readonly reason?: string;
}

interface ShownDecision {
  readonly id: string;
  readonly effect: 'block' | 'step-up';
  readonly subject: string;
  readonly value: string;
  readonly reason: string;
  readonly by: string;
  readonly made: string;
  readonly expires: string;
}

export async function addDecision(options: DecisionOptions, io: Io, nowMs: number = Date.now()): Promise<void> {
  const named = (['address', 'actor', 'client', 'session'] as const).filter((name) => options[name] !== undefined);
  const [subject] = named;
  if (subject === undefined || named.length > 1)
    throw new CliError('usage', 'expected one of --address, --actor, --client and --session', {
      remedy: 'Make a decision for each.',
    });
  const { stepUp, reason } = options;
  await using client = openClient(await findConnection(options, io));
  const body = {
    ...tenantBody(options),
    effect: stepUp === true ? 'step-up' : 'block',
    subject,
    value: options[subject],
    reason,
    expires: new Date(nowMs + (options.for ?? 24 * 3_600_000)).toISOString(),
  };
  const decision = (await client.postJson('/v1/decisions', body, io.signal)) as ShownDecision;
  if (options.json === true) return printJson(io, decision);
  printLine(io, `${paint(io, io.stdout, 'green', '✔')} ${decisionLine(decision)}`);
}

export async function listDecisions(options: DecisionOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io));
  const { decisions } = (await client.getJson(`/v1/decisions${tenantQuery(options)}`, io.signal)) as {
    readonly decisions: readonly ShownDecision[];
  };
  if (options.json === true) return printJson(io, { decisions });
  if (decisions.length === 0) return printLine(io, 'Nothing is decided.');
  for (const decision of decisions) printLine(io, decisionLine(decision));
}

export async function liftDecision(id: string, options: DecisionOptions, io: Io): Promise<void> {
  if (!/^d-[0-9a-f]{16}$/.test(id))
    throw new CliError('usage', 'expected the id of a decision: d- and 16 hex digits', {
      remedy: '`watchglass decisions list` has them.',
    });
  await using client = openClient(await findConnection(options, io));
  const lifted = await client.deleteJson(`/v1/decisions/${id}${tenantQuery(options)}`, io.signal);
  if (options.json === true) return printJson(io, lifted);
  printLine(io, `${paint(io, io.stdout, 'green', '✔')} ${id} is lifted`);
}

function tenantQuery({ tenant }: DecisionOptions): string {
  return tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`;
}

function decisionLine({ id, effect, subject, value, reason, by, expires }: ShownDecision): string {
  return `${id}  ${effect} ${subject} ${value} until ${expires} (${reason}; by ${by})`;
}
