/**
 * The steps of a sign-in, the same on the way to a client and to one's own account: a password and, where one is enrolled, a code or a passkey; or a passkey alone.
 * What was proven is kept in memory for fifteen minutes, by visit; nothing of it comes from the browser.
 */
import type { Access, Origin, Person, SignIn } from '../access/access.ts';
import type { World } from '../world/world.ts';
import { type Assurance, assuranceFor, isOver, mfaAcr, passkeyAcr } from './claims.ts';
import { renderSecondFactorPage, renderSignInPage, renderStepUpPage } from './pages.ts';
import type { Passkeys } from './passkeys.ts';

const firstFactorMs = 15 * 60_000;
const visitsMax = 10_000;

/** One browser on its way through the pages. */
export interface Visit {
  readonly key: string;
  /** Where the forms go. */
  readonly action: string;
  readonly clientName: string;
  readonly client?: string;
  /** `acr_values`. */
  readonly wanted: readonly string[];
  readonly origin: Origin;
  readonly send: (status: number, body: string, retryAfterMs?: number) => void;
  readonly finish: (person: Person, assurance: Assurance) => Promise<void>;
  /** Ends the visit without the assurance that was asked for. */
  readonly giveUp: () => Promise<void>;
}

export interface SignInSteps {
  show(visit: Visit): void;
  submit(visit: Visit, form: URLSearchParams | undefined): Promise<void>;
}

interface First {
  readonly person: string;
  readonly provenMs: number;
  readonly untilMs: number;
}

export function createSignInSteps(parts: {
  readonly people: Pick<Access['people'], 'signIn' | 'prove' | 'get' | 'endedMs'>;
  readonly factors: Access['factors'];
  readonly passkeys: Passkeys;
  readonly world: World;
  readonly demo: boolean;
  /** Where factors are enrolled. */
  readonly accountUrl: string;
}): SignInSteps {
  const { people, factors, passkeys, world, demo, accountUrl } = parts;
  const firsts = new Map<string, First>();

  const keepFirst = (visit: Visit, person: Person, provenMs: number): void => {
    firsts.set(visit.key, { person: person.id, provenMs, untilMs: world.clock.monotonicMs() + firstFactorMs });
    const [oldest] = firsts.keys();
    if (firsts.size > visitsMax && oldest !== undefined) firsts.delete(oldest);
  };
  const firstOf = (visit: Visit): (Person & { readonly provenMs: number }) | undefined => {
    const first = firsts.get(visit.key);
    const person = first === undefined ? undefined : people.get(first.person);
    if (first === undefined || person === undefined) return undefined;
    // The password may have been changed since, by somebody who wants another one out.
    const isGood = world.clock.monotonicMs() < first.untilMs && !isOver(first, first.person, people);
    if (isGood) return { ...person, provenMs: first.provenMs };
    firsts.delete(visit.key);
    return undefined;
  };

  const showFirst = (visit: Visit, page: { status: number; username: string; problem?: string; retryMs?: number }) => {
    const { status, username, problem, retryMs } = page;
    const { action, clientName } = visit;
    const passkey = passkeys.ask(visit.key);
    const body = renderSignInPage({ action, clientName, username, demo, passkey, ...(problem ? { problem } : {}) });
    visit.send(status, body, retryMs);
  };
  const showSecond = (visit: Visit, person: Person, page: { status: number; problem?: string; retryMs?: number }) => {
    const held = factors.of(person.id);
    const body = renderSecondFactorPage({
      action: visit.action,
      ...(held.totp || held.recoveryCodes > 0 ? { code: held.totp ? 'app' : 'recovery' } : {}),
      ...(held.passkeys.length > 0 ? { passkey: passkeys.ask(visit.key, person.id) } : {}),
      ...(page.problem ? { problem: page.problem } : {}),
    });
    visit.send(page.status, body, page.retryMs);
  };
  const finish = async (visit: Visit, person: Person, assurance: Assurance): Promise<void> => {
    firsts.delete(visit.key);
    const fit = assuranceFor(visit.wanted, assurance);
    if (fit === undefined) visit.send(403, renderStepUpPage({ action: visit.action, accountUrl }));
    else await visit.finish(person, fit);
  };
  const originOf = (visit: Visit) => ({ origin: visit.origin, ...(visit.client ? { client: visit.client } : {}) });

  async function password(visit: Visit, form: URLSearchParams): Promise<void> {
    const username = form.get('username') ?? '';
    const typed = form.get('password') ?? '';
    if (username === '' || typed === '')
      return showFirst(visit, { status: 422, username, problem: 'Type your username and your password.' });
    const provenMs = world.clock.now();
    const signIn = await people.signIn({ username, password: typed, ...originOf(visit) });
    if (signIn.kind === 'person') return finish(visit, signIn.person, { acr: '', methods: ['pwd'], provenMs });
    if (signIn.kind === 'first-factor') {
      keepFirst(visit, signIn.person, provenMs);
      return showSecond(visit, signIn.person, { status: 200 });
    }
    showFirst(visit, {
      ...refusalOf(signIn, 'That username and password don’t go together. Check both and try again.'),
      username,
    });
  }

  async function code(visit: Visit, form: URLSearchParams): Promise<void> {
    const person = firstOf(visit);
    if (person === undefined) return expired(visit);
    const typed = (form.get('code') ?? '').slice(0, 64);
    // Six digits come from an app; a recovery code has letters.
    const method = /^[\d\s]*$/.test(typed) ? 'totp' : 'recovery-code';
    const signIn = await people.prove({
      person,
      method,
      assurance: mfaAcr,
      ...originOf(visit),
      check: async () => {
        if (method === 'totp') {
          const match = factors.matchTotp(person.id, typed);
          return match === 'match' ? undefined : `code-${match}`;
        }
        const by = { kind: 'person', ...person, authentication: { method: 'password', mfa: false } } as const;
        const used = await factors.spendRecoveryCode(person.id, typed, by, visit.origin);
        return used ? undefined : 'recovery-code-wrong';
      },
    });
    const { provenMs } = person;
    if (signIn.kind === 'person')
      return finish(visit, signIn.person, { acr: '', methods: ['pwd', 'otp', 'mfa'], provenMs });
    showSecond(
      visit,
      person,
      refusalOf(signIn, 'That code doesn’t fit, or it was used before. Wait for the next one.'),
    );
  }

  async function passkey(visit: Visit, form: URLSearchParams): Promise<void> {
    const answer = form.get('credential') ?? '';
    const first = firstOf(visit);
    const provenMs = first?.provenMs ?? world.clock.now();
    const named = passkeys.named(answer);
    const owner = named === undefined ? undefined : people.get(named.person);
    const signIn = await people.prove({
      person: first ?? owner,
      method: 'passkey',
      assurance: passkeyAcr,
      ...originOf(visit),
      check: async () => {
        const reason = await passkeys.check(visit.key, answer);
        return reason ?? (first !== undefined && first.id !== owner?.id ? 'passkey-of-another' : undefined);
      },
    });
    const key = named?.synced === true ? 'swk' : 'hwk';
    if (signIn.kind === 'person')
      return finish(visit, signIn.person, { acr: '', methods: [key, 'user', 'mfa'], provenMs });
    const refusal = refusalOf(signIn, 'That passkey could not be accepted. Try again, or sign in another way.');
    if (first === undefined) showFirst(visit, { ...refusal, username: '' });
    else showSecond(visit, first, refusal);
  }

  function expired(visit: Visit): void {
    showFirst(visit, { status: 401, username: '', problem: 'That took too long. Begin again with your password.' });
  }

  return {
    show(visit) {
      const first = firstOf(visit);
      if (first === undefined) showFirst(visit, { status: 200, username: '' });
      else showSecond(visit, first, { status: 200 });
    },
    async submit(visit, form) {
      switch (form?.get('step') ?? 'password') {
        case 'code':
          return code(visit, form ?? new URLSearchParams());
        case 'passkey':
          return passkey(visit, form ?? new URLSearchParams());
        case 'again':
          firsts.delete(visit.key);
          return showFirst(visit, { status: 200, username: '' });
        case 'give-up':
          firsts.delete(visit.key);
          return visit.giveUp();
        default:
          return password(visit, form ?? new URLSearchParams());
      }
    },
  };
}

/** How a page says that it wasn't it. */
function refusalOf(signIn: SignIn, problem: string): { status: number; problem: string; retryMs?: number } {
  if (signIn.kind !== 'refused' || signIn.reason === 'credentials') return { status: 401, problem };
  const { retryAfterMs: retryMs } = signIn;
  if (signIn.reason === 'busy')
    return { status: 503, problem: 'Many people are signing in. Try again in a moment.', retryMs };
  return { status: 429, problem: tooManySentence(retryMs), retryMs };
}

export function tooManySentence(retryAfterMs: number): string {
  const minutes = Math.ceil(retryAfterMs / 60_000);
  return `Too many attempts. Try again in ${minutes === 1 ? 'a minute' : `${minutes} minutes`}, or ask an administrator.`;
}
