/** `watchglass hold add|list|release`: legal holds. What a hold is about stays readable, whatever is shredded; to release one takes two people, as a shred does. */
import { openClient } from '../client.ts';
import { findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { parseMoment } from '../moment.ts';
import { type RetentionOptions, type ShownProposal, sayProposal, tenantBody } from './retention.ts';

export interface HoldOptions extends RetentionOptions {
  readonly patient?: string;
  readonly actor?: string;
  readonly indexes?: readonly [first: number, last: number];
  readonly class?: string;
  readonly operation?: string;
  readonly from?: string;
  readonly to?: string;
  readonly matter?: string;
  readonly reason?: string;
}

interface ShownHold {
  readonly id: string;
  readonly criteria: Readonly<Record<string, unknown>>;
  readonly matter: string;
  readonly reason: string;
  readonly by: string;
  readonly added: string;
  readonly kept: readonly { readonly unit: string; readonly events: number }[];
}

export async function addHold(options: HoldOptions, io: Io, nowMs: number = Date.now()): Promise<void> {
  await using client = openClient(await findConnection(options, io), 30 * 60_000);
  const { patient, actor, indexes, operation, from, to, matter, reason } = options;
  const body = {
    ...tenantBody(options),
    ...(patient === undefined ? {} : { patient }),
    ...(actor === undefined ? {} : { actor }),
    ...(indexes === undefined ? {} : { first: indexes[0], last: indexes[1] }),
    ...(options.class === undefined ? {} : { class: options.class }),
    ...(operation === undefined ? {} : { operation }),
    ...(from === undefined ? {} : { from: parseMoment(from, nowMs) }),
    ...(to === undefined ? {} : { to: parseMoment(to, nowMs) }),
    matter,
    reason,
  };
  const hold = (await client.postJson('/v1/holds', body, io.signal)) as ShownHold;
  if (options.json === true) return printJson(io, hold);
  printLine(io, `${paint(io, io.stdout, 'green', '✔')} ${holdLine(hold)}`);
}

export async function listHolds(options: HoldOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io));
  const query = options.tenant === undefined ? '' : `?tenant=${encodeURIComponent(options.tenant)}`;
  const { holds } = (await client.getJson(`/v1/holds${query}`, io.signal)) as { readonly holds: readonly ShownHold[] };
  if (options.json === true) return printJson(io, { holds });
  if (holds.length === 0) return printLine(io, 'No hold is on.');
  for (const hold of holds) {
    printLine(io, holdLine(hold));
    for (const { unit, events } of hold.kept) note(io, `  keeps ${events} events of ${unit}, which was shredded`);
  }
}

/** The first of two steps: somebody else approves it. */
export async function releaseHold(id: string, options: HoldOptions, io: Io): Promise<void> {
  if (!/^[0-9a-f]{32}$/.test(id))
    throw new CliError('usage', 'expected the id of a hold: 32 hex digits', {
      remedy: '`watchglass hold list` has them.',
    });
  await using client = openClient(await findConnection(options, io));
  const proposal = await client.postJson(`/v1/holds/${id}/release`, tenantBody(options), io.signal);
  sayProposal(proposal as ShownProposal, options, io);
}

function holdLine({ id, criteria, matter, reason, by, added }: ShownHold): string {
  const about = Object.entries(criteria)
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(', ');
  return `${id}  ${matter}: ${about} (${reason}; by ${by}, ${added})`;
}
