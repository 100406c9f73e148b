/** What the children of the demo write for one another, read with care: the hospital's roster, the server's `tokens.json`. */
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { CliError } from '../errors.ts';

export interface DemoPerson {
  readonly id: string;
  readonly username: string;
  readonly password: string;
  readonly role: string;
  readonly token: string;
}

/** `DIR/demo/tokens.json`, written by the server once it has made people and keys, and again with fresh tokens. */
export interface DemoTokens {
  readonly tenant: string;
  readonly writeKey: string;
  readonly gatewayWriteKey: string;
  readonly people: readonly DemoPerson[];
}

export async function awaitDemoTokens(path: string, withinMs: number, signal: AbortSignal): Promise<DemoTokens> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const tokens = await readDemoTokens(path);
    if (tokens !== undefined) return tokens;
    if (performance.now() > untilMs) {
      throw new CliError('child-failed', `the server wrote no ${path} within ${withinMs / 1_000} s`, {
        remedy: 'Look into server.log beside it.',
      });
    }
    await wait(40, undefined, { signal });
  }
}

/** Undefined while there is none; it is written by rename, so what is there is whole. */
export async function readDemoTokens(path: string): Promise<DemoTokens | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
  const value = JSON.parse(text) as Partial<DemoTokens>;
  for (const key of ['tenant', 'writeKey', 'gatewayWriteKey'] as const) {
    if (typeof value[key] !== 'string') throw new CliError('child-failed', `expected a string at ${key} in ${path}`);
  }
  if (!Array.isArray(value.people)) throw new CliError('child-failed', `expected a list at people in ${path}`);
  return value as DemoTokens;
}

/** A patient to try things with: the first of the roster. */
export async function firstPatient(rosterPath: string): Promise<string> {
  const roster = JSON.parse(await readFile(rosterPath, 'utf8')) as { readonly patients?: readonly unknown[] };
  const first = roster.patients?.[0];
  if (typeof first === 'string') return first;
  if (typeof first === 'object' && first !== null && 'id' in first && typeof first.id === 'string') return first.id;
  throw new CliError('child-failed', `${rosterPath} names no patient`);
}

const rolesFirst = [
  'physician',
  'nurse',
  'billing',
  'registration',
  'privacy-officer',
  'security-analyst',
  'auditor',
  'administrator',
];

/** The first person of each role, roles in the order people look for them, and then everybody else. */
export function inRoleOrder(people: readonly DemoPerson[]): DemoPerson[] {
  const firstOf = new Map<string, DemoPerson>();
  for (const person of people) if (!firstOf.has(person.role)) firstOf.set(person.role, person);
  const rank = (role: string): number => (rolesFirst.includes(role) ? rolesFirst.indexOf(role) : rolesFirst.length);
  const first = [...firstOf.values()].sort((a, b) => rank(a.role) - rank(b.role));
  return [...first, ...people.filter((person) => firstOf.get(person.role) !== person)];
}
