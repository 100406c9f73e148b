/**
 * What happened, in words: a short line for a row ("Read Patient ·7F3K") and a full sentence for the panel ("Read Patient ·7F3K by
 * Dana Ito (nurse, Ward 4) …"). Both are lists of parts, so that identifiers can be set in their own face.
 */
import type { OutcomeStatus } from '@watchglass/record';
import type { ListedEvent } from '../api/client.ts';
import { plainWords, purposeLabel } from './labels.ts';
import { formatCount, plural } from './number.ts';
import { isStaff, nameOf, nobodyKnown, type People, standing } from './people.ts';
import { reasonWords } from './reasons.ts';
import { actionVerbs, ended, type Statement, statements, type Verb, verbs } from './statements.ts';

export type Part =
  | { readonly kind: 'text'; readonly text: string }
  /** An identifier: a pseudonym of a patient or resource, or a plain one. */
  | { readonly kind: 'id'; readonly text: string }
  /** Somebody by name; the id stands behind it. */
  | { readonly kind: 'person'; readonly text: string; readonly id: string };

type Target = NonNullable<ListedEvent['targets']>[number];

/** The row's line. */
export function describeEvent(event: ListedEvent, people: People = nobodyKnown): readonly Part[] {
  return join([...happened(event, people), ...counted(event)]);
}

function happened(event: ListedEvent, people: People): readonly Part[] {
  const { kind, operation = '', action } = event;
  const statement = statementOf(event);
  if (statement) return state(event, statement, people);
  // Refused before anybody was signed in: recorded as a sign-in that wasn't, under the name of what was asked.
  const refused = kind === 'auth' ? statements[`review/${operation}`] : undefined;
  if (refused?.to) return [plain(`Tried to ${ofAny(refused.to)} without being let in`)];
  const verb = wasOpen(event) ? ended : verbs[operation];
  if (verb && isSearch(event)) return [plain(say(event, verb)), ...nameSearched(event)];
  const target = event.targets?.find(({ role }) => role === 'object') ?? event.targets?.[0];
  if (operation.startsWith('$') && !verb) {
    return [
      plain(`${say(event, actionVerbs.execute)} ${operation}`),
      ...(target ? [plain('on'), ...nameTarget(target)] : []),
    ];
  }
  const precise = target || verb || operation === '' || operation === action ? '' : ` (${plainWords(operation)})`;
  const done = plain(`${say(event, verb ?? actionVerbs[action])}${precise}`);
  return [done, ...(target ? nameTarget(target) : [])];
}

/** An intent is recorded before the upstream is asked; another event completes it with the outcome. */
export function isIntent({ outcome, completes }: Pick<ListedEvent, 'outcome' | 'completes'>): boolean {
  return outcome.status === 'success' && outcome.reason === 'intent' && completes === undefined;
}

/** A WebSocket has three events: the intent, that it was opened, and how it ended. */
function wasOpen({ operation, outcome, completes, request }: ListedEvent): boolean {
  return operation === 'subscribe' && completes !== undefined && request?.status === 101 && outcome.reason !== 'opened';
}

function say(event: ListedEvent, verb: Verb): string {
  if (verb.to === undefined) return verb.did;
  if (isIntent(event)) return `About to ${verb.to}`;
  return event.outcome.status === 'success' ? verb.did : `Tried to ${verb.to}`;
}

/**
 * The panel's sentence: who, in what role and where, for whom, why, and how it ended. What was done to data is said as done by somebody; what
 * somebody did here, tried, or was about to do begins with them; what the ledger noticed has nobody in it.
 */
export function summariseEvent(event: ListedEvent, people: People = nobodyKnown): readonly Part[] {
  const { actor } = event;
  const line = happened(event, people);
  const as = standing(actor, people);
  const whom = [who(actor, people), ...(as === '' ? [] : [plain(`(${as})`)])];
  const nearest = actor.onBehalfOf?.[0];
  const rest = [
    ...(nearest ? [plain('on behalf of'), who(nearest, people)] : []),
    ...(actor.client ? [plain('with'), id(actor.client)] : []),
    ...whyWords(event).map(plain),
    plain(isIntent(event) ? '.' : wasOpen(event) ? endClause(event.outcome) : outcomeClause(event.outcome)),
  ];
  const statement = statementOf(event);
  if (event.kind === 'system' && statement?.to === undefined && statement !== undefined)
    return join([...line, plain('; noticed by'), ...whom, plain('.')]);
  if (statement === undefined && event.outcome.status === 'success' && !isIntent(event) && !wasOpen(event))
    return join([...line, plain('by'), ...whom, ...rest]);
  const [first, ...after] = line;
  const did = lowered(first?.text ?? 'did something');
  return join(capitalised([...whom, plain(isIntent(event) ? `was ${did}` : did), ...after, ...rest]));
}

/** Whoever breaks the glass says a reason of the policy; that it was broken is said already where that is the event. */
function whyWords({ operation, purpose }: ListedEvent): readonly string[] {
  if (purpose === undefined) return [];
  if (purpose.code !== 'BTG') return [`for ${purposeLabel(purpose.code)}`];
  return [
    ...(operation === 'break-glass-opened' ? [] : ['by breaking the glass']),
    ...(purpose.justification === undefined ? [] : [`(reason: ${plainWords(purpose.justification)})`]),
  ];
}

/** What left the system, as a sentence of its own; `undefined` where nothing is known to have left. */
export function describeExposure(event: ListedEvent): string | undefined {
  const { exposure } = event;
  if (!exposure) return undefined;
  // What Watchglass itself showed is rows of the audit trail.
  const counts = statementOf(event)?.counts;
  if (event.kind === 'review') {
    return counts === undefined || !exposure.count ? undefined : `${capital(plural(exposure.count, counts))} shown.`;
  }
  const patients = patientCount(event);
  const resources = exposure.count ?? 0;
  if (patients === 0 && exposure.truncated) {
    // A WebSocket, an answer behind another proxy, a PDF: it was not read, and may have been about anybody.
    return resources === 0
      ? 'What left was not read, or not all of it: whom it was about is not known.'
      : `${capital(plural(resources, 'resource'))} left in the response, and maybe more: whom it was about is not known.`;
  }
  if (patients === 0 && resources === 0) return 'Nothing about a patient left.';
  const classes = [...new Set(exposure.patients?.flatMap((patient) => patient.classes ?? []) ?? [])].map(plainWords);
  const what =
    classes.length > 0 ? `${listWords(classes)} of ${plural(patients, 'patient')}` : plural(patients, 'patient');
  const subject = patients > 0 ? what : 'No patient’s data, but';
  const size = resources > 0 ? `${patients > 0 ? ' in' : ''} ${plural(resources, 'resource')}` : '';
  const bound = exposure.truncated ? ' More may have left than is listed.' : '';
  return `${capital(`${subject}${size} left in the response.`)}${bound}`;
}

/** How many patients' data left. */
export function patientCount({ exposure }: Pick<ListedEvent, 'exposure'>): number {
  return exposure?.patientCount ?? exposure?.patients?.length ?? 0;
}

/** The parts as one text, for titles and screen readers. */
export function plainText(parts: readonly Part[]): string {
  return parts.map((part) => part.text).join('');
}

/** What was looked for, never what was found: the type asked for, the patient where the whole answer was about one, and how much came. */
function nameSearched(event: ListedEvent): Part[] {
  const targets = event.targets ?? [];
  const compartment = targets.find(({ role }) => role === 'compartment');
  const asked = targets.find(({ role }) => role === 'query');
  const only = patientCount(event) === 1 ? event.exposure?.patients?.[0]?.id : undefined;
  const patient = asked?.patient ?? compartment?.patient ?? only;
  const parts: Part[] = asked ? [plain(asked.type)] : [];
  if (patient !== undefined && asked?.type === 'Patient') parts.push(id(patient));
  else if (patient !== undefined) parts.push(plain('of patient'), id(patient));
  else if (compartment)
    parts.push(plain('of'), plain(compartment.type), ...(compartment.id ? [id(compartment.id)] : []));
  return parts;
}

const isSearch = ({ operation = '' }: ListedEvent): boolean => operation.includes('search') && operation in verbs;

function statementOf({ kind, operation = '' }: ListedEvent): Statement | undefined {
  return statements[`${kind}/${operation}`];
}

/** How much came, at the end of a row's line. */
function counted(event: ListedEvent): Part[] {
  const count = event.exposure?.count;
  const patients = patientCount(event);
  const statement = statementOf(event);
  if (event.outcome.status !== 'success') return [];
  if (statement) {
    if (statement.counts === undefined || count === undefined) return [];
    return [plain(count === 0 ? `; no ${statement.counts}s` : `; ${plural(count, statement.counts)}`)];
  }
  // How many patients an answer held, where neither the target nor a number of results says it.
  if (!isSearch(event) || count === undefined) return patients > 1 ? [plain(`· ${plural(patients, 'patient')}`)] : [];
  const type = event.targets?.find(({ role }) => role === 'query')?.type;
  const of = patients > 1 && !(type === 'Patient' && patients === count) ? ` of ${plural(patients, 'patient')}` : '';
  return [plain(count === 0 ? '; nothing found' : `; ${plural(count, 'result')}${of}`)];
}

function nameTarget(target: Target): Part[] {
  const parts: Part[] = [plain(target.type)];
  if (target.id !== undefined) parts.push(id(target.id));
  if (
    target.patient !== undefined &&
    !(target.type === 'Patient' && (target.id === undefined || target.id === target.patient))
  ) {
    parts.push(plain('of patient'), id(target.patient));
  } else if (target.type === 'Patient' && target.id === undefined && target.patient !== undefined) {
    parts.push(id(target.patient));
  }
  return parts;
}

function state(event: ListedEvent, statement: Statement, people: People): readonly Part[] {
  const { object, after } = statement;
  const words = say(event, statement);
  const target = event.targets?.find((one) => one.id !== undefined);
  const needsObject = object === 'named' || object === 'numbered';
  return [
    plain(needsObject && target === undefined ? ofAny(words) : words),
    ...statementObject(event, statement, people),
    ...(after === undefined ? [] : [plain(after)]),
  ];
}

function statementObject(event: ListedEvent, { object }: Statement, people: People): Part[] {
  const target = event.targets?.find((one) => one.id !== undefined);
  switch (object) {
    case 'named': {
      if (target?.id === undefined) return [];
      const name = target.type === 'Person' || target.type === 'Actor' ? people[target.id]?.name : undefined;
      return [name === undefined ? id(target.id) : { kind: 'person', text: name, id: target.id }];
    }
    case 'numbered':
      return target?.id === undefined ? [] : [id(formatCount(Number(target.id)))];
    case 'searched':
      return lookedFor(event);
    case undefined:
      return [];
    default:
      return object satisfies never;
  }
}

/** Words that lead to a name or a number, where there is none: it was any. */
function ofAny(words: string): string {
  return words.replace(
    /\b(the )?(event|person|emitter|new write key|write key)$/,
    (_, _the, noun: string) => `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`,
  );
}
/** Filters that a search always has, or that its targets name. */
const saidOtherwise: ReadonlySet<string> = new Set(['from', 'to', 'patient', 'resource', 'actor', 'q']);

/** The filters of a search of the audit trail: whom and what it was about, and the names of the others. */
function lookedFor({ targets = [], request }: ListedEvent): Part[] {
  const parts = targets.flatMap((target, i): Part[] => {
    const before = plain(i === 0 ? 'for' : 'and');
    const shown = target.id === undefined ? [] : [id(target.id)];
    if (target.type === 'Actor') return [before, plain('what'), ...shown, plain('did')];
    return [before, plain(target.type === 'Patient' ? 'patient' : target.type), ...shown];
  });
  const others = request?.query?.filter((name) => !saidOtherwise.has(name)) ?? [];
  const words = request?.query?.includes('q') ? [...others, 'text'] : others;
  return words.length === 0 ? parts : [...parts, plain(`by ${listWords(words)}`)];
}

function who(actor: ListedEvent['actor'] | { readonly id: string }, people: People): Part {
  const name = nameOf(actor, people);
  if (name === undefined) return id(actor.id);
  return { kind: 'person', text: isStaff(actor, people) ? name : inSentence(name), id: actor.id };
}

/** `Server` → `the server`, `Not signed in` → `somebody not signed in`. */
function inSentence(name: string): string {
  return name.startsWith('Not ') ? `somebody ${lowered(name)}` : `the ${lowered(name)}`;
}

function capitalised([first, ...rest]: readonly Part[]): readonly Part[] {
  if (first === undefined) return rest;
  return [first.kind === 'id' ? first : { ...first, text: capital(first.text) }, ...rest];
}

const lowered = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

function outcomeClause(outcome: { readonly status: OutcomeStatus; readonly reason?: string }): string {
  const reason = outcome.reason ? `: ${reasonWords(outcome.reason)}` : '';
  switch (outcome.status) {
    case 'success':
      return '.';
    case 'denied':
      return `, and was denied${reason}.`;
    case 'failed':
      return `, which failed${reason}.`;
    case 'error':
      return `, which ended in an error${reason}.`;
    default:
      return outcome.status satisfies never;
  }
}

function endClause({ reason }: { readonly reason?: string }): string {
  return reason === undefined ? '.' : `; it ended: ${reasonWords(reason)}.`;
}

/** Joins parts with spaces, none before punctuation. */
function join(parts: readonly Part[]): readonly Part[] {
  return parts.map((part, i) => {
    const next = parts[i + 1];
    const space = next !== undefined && !/^[.,;:]/.test(next.text);
    return space ? { ...part, text: `${part.text.trimEnd()} ` } : part;
  });
}

function listWords(words: readonly string[]): string {
  if (words.length <= 1) return words.join('');
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const plain = (text: string): Part => ({ kind: 'text', text });
const id = (text: string): Part => ({ kind: 'id', text });
