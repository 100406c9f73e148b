/**
 * `watchglass retention list|plan|propose|approve|execute|confirm`: how long what is kept, and how it ends. Looking takes the right to look; each step to the end
 * takes a person's own token, whose sign-in is strong and recent, and the server refuses everything else.
 */
import { type Client, openClient } from '../client.ts';
import { type ConnectionOptions, findConnection } from '../connection.ts';
import { CliError } from '../errors.ts';
import { type Io, note, paint, printJson, printLine } from '../io.ts';
import { type Column, formatTable } from '../table.ts';

export interface RetentionOptions extends ConnectionOptions {
  readonly json?: boolean;
  /** A date or RFC 3339. */
  readonly at?: string;
  /** Hash that was seen. */
  readonly plan?: string;
}

interface ShownUnit {
  readonly unit: string;
  readonly events: number;
  readonly bytes: number;
  readonly days: number;
  readonly oldest: string;
  readonly newest: string;
  readonly seeds: readonly unknown[];
  readonly keks: readonly string[];
  readonly held: readonly { readonly hold: string; readonly events: number }[];
}

interface Plan {
  readonly at: string;
  readonly hash: string;
  readonly units: readonly ShownUnit[];
  readonly heldWhole: readonly ShownUnit[];
}

export interface ShownProposal {
  readonly id: string;
  readonly about:
    | { readonly kind: 'shred'; readonly units: readonly { readonly unit: string; readonly events: number }[] }
    | { readonly kind: 'hold-release'; readonly hold: string };
  readonly plan: string;
  readonly by: string;
  readonly expires: string;
  readonly approvedBy: string | null;
  readonly state: string;
}

interface Standing {
  readonly policies: readonly {
    readonly class: string;
    readonly days: number | null;
    readonly configured: string | number;
    readonly unconfirmed: boolean;
  }[];
  readonly proposals: readonly ShownProposal[];
  readonly shredded: readonly { readonly unit: string; readonly events: number; readonly evidence: number | null }[];
}

const unitColumns: readonly Column[] = [
  { title: 'UNIT' },
  { title: 'EVENTS', align: 'right' },
  { title: 'BYTES', align: 'right' },
  { title: 'OLDEST' },
  { title: 'NEWEST' },
  { title: 'HELD', align: 'right' },
  { title: 'SEEDS', align: 'right' },
];

export async function listRetention(options: RetentionOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io));
  const standing = (await client.getJson(`/v1/retention${tenantQuery(options)}`, io.signal)) as Standing;
  if (options.json === true) return printJson(io, standing);
  for (const { class: name, days, configured, unconfirmed } of standing.policies) {
    const kept = days === null ? 'for the life of the record' : `${days} days from the end of its month`;
    printLine(io, `${name.padEnd(10)} ${kept}`);
    if (unconfirmed)
      note(
        io,
        `  ${configured} days are configured; they come into force when a person confirms them (retention confirm).`,
      );
  }
  for (const proposal of standing.proposals) printLine(io, proposalLine(proposal));
  for (const { unit, events, evidence } of standing.shredded)
    printLine(
      io,
      `${unit} was shredded: ${events} events; ${evidence === null ? 'it is not over yet' : `evidence at index ${evidence}`}`,
    );
}

export async function planRetention(options: RetentionOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io), 30 * 60_000);
  const at = options.at === undefined ? {} : { at: options.at };
  const plan = (await client.getJson(`/v1/retention/plan${tenantQuery(options, at)}`, io.signal)) as Plan;
  if (options.json === true) return printJson(io, plan);
  if (plan.units.length === 0) printLine(io, `Nothing is over at ${plan.at}.`);
  else {
    const [head = '', ...rows] = formatTable(unitColumns, plan.units.map(unitRow), io.stdout.columns);
    printLine(io, paint(io, io.stdout, 'bold', head));
    for (const row of rows) printLine(io, row);
    const keks = [...new Set(plan.units.flatMap((unit) => unit.keks))];
    for (const kek of keks)
      note(io, `The key-encryption key ${kek} would be destroyed; what stays is wrapped under a new one.`);
    note(io, `Plan ${plan.hash}`);
  }
  for (const unit of plan.heldWhole) note(io, `${unit.unit} is over and stays: a legal hold is about all of it.`);
}

export async function proposeShred(units: readonly string[], options: RetentionOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io), 30 * 60_000);
  const body = {
    ...tenantBody(options),
    ...(units.length === 0 ? {} : { units }),
    ...(options.plan === undefined ? {} : { plan: options.plan }),
  };
  const proposal = (await client.postJson('/v1/retention/proposals', body, io.signal)) as ShownProposal;
  sayProposal(proposal, options, io);
}

export async function approveProposal(id: string, options: RetentionOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io));
  const found = await findProposal(client, id, options, io);
  const body = { ...tenantBody(options), plan: options.plan ?? found.plan };
  const proposal = (await client.postJson(`${pathOf(id)}/approve`, body, io.signal)) as ShownProposal;
  sayProposal(proposal, options, io);
}

export async function executeProposal(id: string, options: RetentionOptions, io: Io): Promise<void> {
  await using client = openClient(await findConnection(options, io), 30 * 60_000);
  const done = (await client.postJson(`${pathOf(id)}/execute`, tenantBody(options), io.signal)) as ShownProposal & {
    readonly shredded: readonly {
      readonly unit: string;
      readonly events: number;
      readonly evidence: number;
      readonly keys: readonly { readonly kek: string; readonly state: string; readonly until?: string }[];
    }[];
  };
  if (options.json === true) return printJson(io, done);
  const mark = paint(io, io.stdout, 'green', '✔');
  if (done.about.kind === 'hold-release') printLine(io, `${mark} the hold ${done.about.hold} is released`);
  for (const { unit, events, evidence, keys } of done.shredded) {
    printLine(io, `${mark} ${unit}: ${events} events are gone; evidence at index ${evidence}`);
    for (const { kek, state, until } of keys)
      note(
        io,
        `  ${kek} ${state === 'destroyed' ? 'is destroyed' : `will be destroyed at ${until}; its keeper can call it back until then`}`,
      );
  }
}

export async function confirmRetention(
  retentionClass: string,
  days: number,
  options: RetentionOptions,
  io: Io,
): Promise<void> {
  await using client = openClient(await findConnection(options, io));
  const body = { ...tenantBody(options), class: retentionClass, days };
  const policy = await client.postJson('/v1/retention/confirm', body, io.signal);
  if (options.json === true) return printJson(io, policy);
  printLine(
    io,
    `${paint(io, io.stdout, 'green', '✔')} ${retentionClass} is kept for ${days} days from the end of its month`,
  );
}

async function findProposal(client: Client, id: string, options: RetentionOptions, io: Io): Promise<ShownProposal> {
  const { proposals } = (await client.getJson(`/v1/retention${tenantQuery(options)}`, io.signal)) as Standing;
  const found = proposals.find((one) => one.id === id);
  if (found === undefined)
    throw new CliError('api', `there is no proposal ${id}`, { remedy: '`watchglass retention list` has them.' });
  if (options.json !== true) note(io, proposalLine(found));
  return found;
}

export function sayProposal(proposal: ShownProposal, options: RetentionOptions, io: Io): void {
  if (options.json === true) {
    printJson(io, proposal);
    return;
  }
  printLine(io, proposalLine(proposal));
  if (proposal.state === 'proposed')
    note(io, `Somebody else approves it until ${proposal.expires}: watchglass retention approve ${proposal.id}`);
  if (proposal.state === 'approved') note(io, `It is carried out by: watchglass retention execute ${proposal.id}`);
}

function proposalLine({ id, about, by, approvedBy, state, plan }: ShownProposal): string {
  const what =
    about.kind === 'shred'
      ? `shred ${about.units.map(({ unit, events }) => `${unit} (${events} events)`).join(', ')}`
      : `release the hold ${about.hold}`;
  const approved = approvedBy === null ? '' : `, approved by ${approvedBy}`;
  return `${id}  ${state}: ${what}, proposed by ${by}${approved}; plan ${plan}`;
}

function unitRow({ unit, events, bytes, oldest, newest, held, seeds }: ShownUnit): string[] {
  const kept = held.map(({ events: count }) => String(count)).join(' + ');
  return [unit, String(events), String(bytes), oldest, newest, kept === '' ? '0' : kept, String(seeds.length)];
}

function tenantQuery({ tenant }: RetentionOptions, more: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams({ ...(tenant === undefined ? {} : { tenant }), ...more }).toString();
  return query === '' ? '' : `?${query}`;
}

export function tenantBody({ tenant }: RetentionOptions): { readonly tenant?: string } {
  return tenant === undefined ? {} : { tenant };
}

/** @throws CliError for what is no id: it must not become another path */
function pathOf(id: string): string {
  if (!/^rp-[0-9a-f]{16}$/.test(id))
    throw new CliError('usage', 'expected the id of a proposal, such as rp-0123456789abcdef', {
      remedy: '`watchglass retention list` has them.',
    });
  return `/v1/retention/proposals/${id}`;
}
