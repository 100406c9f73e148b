/**
 * What is decided about addresses and people while it matters: blocked at every gateway of a tenant, or a better sign-in first; until a moment, and lifted
 * earlier if need be. Kept in `DIR/decisions.json`; each change of it is an event with the new value first, and then applied.
 *
 * Gateways wait here for what is new (`next`). What they get is always the whole of what is in force, so one that was away for a month needs no history.
 */
import { isIP } from 'node:net';
import type { TenantId } from '@watchglass/record';
import { z } from 'zod';
import type { Author } from '../access/access.ts';
import { actorOf, createChanges } from '../access/change.ts';
import type { RecordOwn } from '../access/own-event.ts';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';

export const decisionEffects = ['block', 'step-up'] as const;
export const decisionSubjects = ['address', 'actor', 'client', 'session'] as const;

export interface DecisionTerms {
  readonly effect: (typeof decisionEffects)[number];
  readonly subject: (typeof decisionSubjects)[number];
  /** An address or CIDR range; the id of an actor, a client or a session, as events have it. */
  readonly value: string;
  readonly reason: string;
  /** RFC 3339. */
  readonly expires: string;
}

export interface Decision extends DecisionTerms {
  readonly id: string;
  readonly tenant: string;
  readonly by: string;
  readonly made: string;
}

export interface Decisions {
  /** In force, the oldest first. */
  list(tenant: TenantId): readonly Decision[];
  /** @throws ServerError `input-invalid`, `over-capacity` */
  add(tenant: TenantId, terms: DecisionTerms, by: Author): Promise<Decision>;
  /** @throws ServerError `not-found` where none of the tenant's in force has the id */
  lift(tenant: TenantId, id: string, by: Author): Promise<void>;
  /** What is in force, once its version is another than `after`; undefined where it still is the same after `waitMs`. */
  next(
    tenant: TenantId,
    after: string | undefined,
    options: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<{ readonly version: string; readonly decisions: readonly Decision[] } | undefined>;
}

const decisionsMax = 5_000;
const daysMax = 366;

const decisionSchema: z.ZodType<Decision> = z.strictObject({
  id: z.string(),
  tenant: z.string(),
  effect: z.enum(decisionEffects),
  subject: z.enum(decisionSubjects),
  value: z.string(),
  reason: z.string(),
  by: z.string(),
  made: z.string(),
  expires: z.string(),
});
const stateSchema = z.strictObject({ v: z.literal(1), change: z.int().min(0), decisions: z.array(decisionSchema) });
type State = z.infer<typeof stateSchema>;

export async function openDecisions(parts: {
  readonly path: string;
  readonly world: World;
  readonly record: RecordOwn;
}): Promise<Decisions> {
  const { path, world, record } = parts;
  const { clock, disk, random } = world;
  const changes = createChanges(record);
  let state = await readState(world, path);
  // An older copy of the file may count to the same number again: another start is another version.
  const start = Buffer.from(random.bytes(6)).toString('base64url');
  const waiting = new Set<() => void>();
  const inForce = (tenant: TenantId): readonly Decision[] =>
    state.decisions.filter((one) => one.tenant === tenant && Date.parse(one.expires) > clock.now());
  const versionOf = (): string => `${start}-${state.change}`;
  const keep = async (decisions: readonly Decision[]): Promise<void> => {
    const alive = decisions.filter(({ expires }) => Date.parse(expires) > clock.now());
    const next: State = { v: 1, change: state.change + 1, decisions: alive };
    await disk.replace(path, new TextEncoder().encode(`${JSON.stringify(next)}\n`), { mode: 0o600 });
    state = next;
    for (const wake of [...waiting]) wake();
  };

  return {
    list: inForce,
    add(tenant, terms, by) {
      const nowMs = clock.now();
      const decision: Decision = {
        id: `d-${Buffer.from(random.bytes(8)).toString('hex')}`,
        tenant,
        ...terms,
        by: actorOf(by).id,
        made: new Date(nowMs).toISOString(),
        expires: new Date(terms.expires).toISOString(),
      };
      return changes
        .make({
          check: () => {
            checkTerms(terms, nowMs);
            if (state.decisions.length >= decisionsMax)
              throw new ServerError(
                'over-capacity',
                `expected fewer than ${decisionsMax} decisions in force; lift some`,
              );
            return {
              tenant,
              by,
              action: 'create',
              operation: 'decision-made',
              target: { type: 'Decision', id: decision.id, role: 'object' },
              changes: (['effect', 'subject', 'value', 'reason', 'expires'] as const).map((name) => ({
                path: `/${name}`,
                op: 'add',
                after: decision[name],
              })),
            };
          },
          apply: () => keep([...state.decisions, decision]),
        })
        .then(() => decision);
    },
    async lift(tenant, id, by) {
      await changes.make({
        check: () => {
          const found = inForce(tenant).find((one) => one.id === id);
          if (found === undefined)
            throw new ServerError('not-found', 'expected the id of a decision that is in force, got another');
          return {
            tenant,
            by,
            action: 'delete',
            operation: 'decision-withdrawn',
            target: { type: 'Decision', id, role: 'object' },
            changes: [{ path: '/value', op: 'remove', before: found.value }],
          };
        },
        apply: () => keep(state.decisions.filter((one) => one.id !== id)),
      });
    },
    async next(tenant, after, { waitMs, signal }) {
      if (after === versionOf()) {
        const woken = Promise.withResolvers<void>();
        const timer = clock.after(waitMs, woken.resolve);
        signal.addEventListener('abort', () => woken.resolve(), { once: true });
        waiting.add(woken.resolve);
        await woken.promise;
        waiting.delete(woken.resolve);
        timer.cancel();
      }
      return after === versionOf() ? undefined : { version: versionOf(), decisions: inForce(tenant) };
    },
  };
}

/** Those in the file, over or not. @throws ServerError `state-unknown` */
export async function readDecisions(world: World, path: string): Promise<readonly Decision[]> {
  return (await readState(world, path)).decisions;
}

async function readState({ disk }: World, path: string): Promise<State> {
  const bytes = await disk.readFile(path);
  if (bytes === undefined) return { v: 1, change: 0, decisions: [] };
  try {
    return stateSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new ServerError(
      'state-unknown',
      `expected ${path} as this version writes it, got something else; put back a copy, or remove it and decide again`,
      { cause },
    );
  }
}

/** @throws ServerError `input-invalid` */
function checkTerms({ effect, subject, value, expires }: DecisionTerms, nowMs: number): void {
  const wrong = (path: string, expected: string): ServerError =>
    new ServerError('input-invalid', `${path}: expected ${expected}`, {
      errors: [{ path, expected, got: 'something else' }],
    });
  if (effect === 'step-up' && subject !== 'actor') throw wrong('/subject', '`actor`, since only people sign in again');
  if (subject === 'address' && !isRange(value))
    throw wrong('/value', 'an address or a CIDR range, not wider than /8 (IPv4) or /16 (IPv6)');
  const leftMs = Date.parse(expires) - nowMs;
  if (!(leftMs > 0 && leftMs <= daysMax * 86_400_000))
    throw wrong('/expires', `a moment within ${daysMax} days from now`);
}

/** One slip of the hand must not shut out half of the internet. */
function isRange(text: string): boolean {
  const [address = '', prefix, more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more !== undefined || address.includes('%')) return false;
  if (prefix === undefined) return true;
  return (
    /^[1-9]\d{0,2}$/.test(prefix) &&
    Number(prefix) >= (version === 4 ? 8 : 16) &&
    Number(prefix) <= (version === 4 ? 32 : 128)
  );
}
