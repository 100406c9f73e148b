/**
 * One's own account, at `/account`: sign in, then enrol or remove an authenticator app, passkeys and recovery codes. Whoever has a second factor has shown it to be here,
 * and a visit ends ten minutes after the sign-in: what is enrolled rests on a sign-in that is strong and recent.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Access, Person, PersonPrincipal } from '../access/access.ts';
import { base32, matchTotp, totpSecretBytes, totpUri } from '../access/totp.ts';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';
import { type AccountPage, renderAccountPage } from './account-page.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { type Assurance, isOver, mfaAcr, passkeyAcr, passwordAcr } from './claims.ts';
import { sendPage } from './interaction.ts';
import { renderErrorPage } from './pages.ts';
import type { Passkeys } from './passkeys.ts';
import { addressOf, comesFromOurPage, countedAs, readForm } from './request.ts';
import { type SignInSteps, tooManySentence, type Visit } from './sign-in-steps.ts';

export const accountPath = '/account';
const cookieName = 'watchglass-issuer-account';
const visitMs = 10 * 60_000;
const visitsMax = 10_000;

interface AccountVisit {
  readonly key: string;
  readonly sinceMs: number;
  signedIn?: {
    readonly person: string;
    readonly principal: PersonPrincipal;
    /** Moved on by what was ended from here. */
    provenMs: number;
    readonly untilMs: number;
  };
  /** Of an app that is being enrolled, until its first code. */
  secret?: Uint8Array;
}

type Said = Pick<AccountPage, 'problem' | 'good' | 'codes' | 'app'>;

export function createAccount(parts: {
  readonly people: Access['people'];
  readonly factors: Access['factors'];
  readonly passkeys: Passkeys;
  readonly steps: SignInSteps;
  readonly world: World;
  readonly origin: string;
}): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { people, factors, passkeys, steps, world, origin } = parts;
  const visits = new Map<string, AccountVisit>();
  const limit = createAttemptLimit(world.clock);
  const now = (): number => world.clock.monotonicMs();

  const find = (request: IncomingMessage): AccountVisit | undefined => {
    const cookie = request.headers.cookie?.split('; ').find((one) => one.startsWith(`${cookieName}=`));
    const visit = visits.get(cookie?.slice(cookieName.length + 1) ?? '');
    if (visit === undefined || now() < (visit.signedIn?.untilMs ?? visit.sinceMs + visitMs)) return visit;
    visits.delete(visit.key);
    return undefined;
  };
  /** Another one after the sign-in: what was known before it is worth nothing after. */
  const begin = (response: ServerResponse, signedIn?: AccountVisit['signedIn']): AccountVisit => {
    const key = Buffer.from(world.random.bytes(32)).toString('base64url');
    const visit = { key, sinceMs: now(), ...(signedIn === undefined ? {} : { signedIn }) };
    visits.set(key, visit);
    const [oldest] = visits.keys();
    if (visits.size > visitsMax && oldest !== undefined) visits.delete(oldest);
    const secure = origin.startsWith('https:') ? '; Secure' : '';
    response.setHeader('set-cookie', `${cookieName}=${key}; Path=${accountPath}; HttpOnly; SameSite=Strict${secure}`);
    return visit;
  };

  const show = (response: ServerResponse, visit: AccountVisit, person: Person, status: number, said: Said): void => {
    const { totp, passkeys: keys, recoveryCodes } = factors.of(person.id);
    sendPage(
      response,
      status,
      renderAccountPage({
        action: accountPath,
        name: person.name,
        totp,
        recoveryCodes,
        passkeys: keys.map(({ id, name, created }) => ({ id, name, created })),
        newPasskey: passkeys.askNew(visit.key, person),
        ...said,
      }),
    );
  };

  const signInVisit = (request: IncomingMessage, response: ServerResponse, visit: AccountVisit): Visit => ({
    key: `account ${visit.key}`,
    action: accountPath,
    clientName: 'your account',
    client: 'account',
    wanted: [],
    origin: addressOf(request),
    send: (status, body, retryAfterMs) => {
      if (retryAfterMs !== undefined) response.setHeader('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
      sendPage(response, status, body);
    },
    finish: async (person, assurance) => {
      visits.delete(visit.key);
      const principal = principalOf(person, assurance, world.clock.now());
      const { provenMs = world.clock.now() } = assurance;
      const signedIn = { person: person.id, principal, provenMs, untilMs: now() + visitMs };
      show(response, begin(response, signedIn), person, 200, {});
    },
    giveUp: async () => sendPage(response, 200, renderErrorPage('You left without signing in.')),
  });

  async function act(visit: AccountVisit, person: Person, form: URLSearchParams, request: IncomingMessage) {
    const by = visit.signedIn?.principal as PersonPrincipal;
    const from = addressOf(request);
    switch (form.get('do')) {
      case 'app-begin':
        visit.secret = world.random.bytes(totpSecretBytes);
        return { app: appOf(visit.secret, person) };
      case 'app-confirm': {
        const { secret } = visit;
        if (secret === undefined) return { problem: 'Begin again with the app.' };
        const code = form.get('code') ?? '';
        const match = matchTotp(secret, { code, nowMs: world.clock.now(), lastStep: 0 });
        if (match.kind !== 'match')
          return { app: appOf(secret, person), problem: 'That code doesn’t fit. Check the clock of your device.' };
        await factors.setTotp(person.id, { secret, step: match.step }, by, from);
        delete visit.secret;
        return { good: 'The app is set up. From now on you are asked for its code.' };
      }
      case 'app-remove':
        await factors.removeTotp(person.id, by, from);
        return { good: 'The app is removed.' };
      case 'passkey-add': {
        const answer = await passkeys.enrol(visit.key, form.get('credential') ?? '');
        if (typeof answer === 'string') return { problem: 'That passkey could not be accepted. Try again.' };
        const name = (form.get('name') ?? '').replaceAll(/\p{C}/gu, '').slice(0, 40) || 'Passkey';
        await factors.addPasskey(person.id, { ...answer, name }, by, from);
        return { good: 'The passkey is set up.' };
      }
      case 'passkey-remove':
        await factors.removePasskey(person.id, form.get('id') ?? '', by, from);
        return { good: 'The passkey is removed.' };
      case 'codes':
        return { codes: await factors.newRecoveryCodes(person.id, by, from) };
      case 'sign-out':
        await people.signOut(person.id, by, from);
        if (visit.signedIn !== undefined) visit.signedIn.provenMs = people.endedMs(person.id) + 1;
        return { good: 'You are signed out of every application.' };
      default:
        return { problem: 'Nothing was changed.' };
    }
  }

  return async (request, response) => {
    const visit = find(request) ?? begin(response);
    const person = visit.signedIn === undefined ? undefined : people.get(visit.signedIn.person);
    // Whoever was put out must not be able to enrol a factor of theirs in what is left of ten minutes.
    const isIn = person !== undefined && !person.disabled && !isOver(visit.signedIn ?? {}, person.id, people);
    if (request.method === 'GET') {
      if (isIn) return show(response, visit, person, 200, {});
      return steps.show(signInVisit(request, response, visit));
    }
    if (request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return sendPage(response, 405, renderErrorPage('This page takes GET and POST.'));
    }
    if (!comesFromOurPage(request, origin))
      return sendPage(response, 403, renderErrorPage('The form was sent from another site.'));
    const waitMs = limit.take(countedAs(request));
    if (waitMs > 0) return sendPage(response, 429, renderErrorPage(tooManySentence(waitMs)));
    const form = await readForm(request);
    if (!isIn) return steps.submit(signInVisit(request, response, visit), form);
    if (form?.get('do') === 'leave') {
      visits.delete(visit.key);
      return steps.show(signInVisit(request, response, begin(response)));
    }
    try {
      const said: Said = await act(visit, person, form ?? new URLSearchParams(), request);
      show(response, visit, person, said.problem === undefined ? 200 : 422, said);
    } catch (error) {
      if (!(error instanceof ServerError) || !['not-found', 'input-invalid'].includes(error.code)) throw error;
      show(response, visit, person, 422, { problem: 'That could not be done: it is there already, or not any more.' });
    }
  };
}

function appOf(secret: Uint8Array, { username }: Person): { key: string; uri: string } {
  return { key: base32(secret), uri: totpUri(secret, { issuer: 'Watchglass', username }) };
}

function principalOf(person: Person, { methods }: Assurance, nowMs: number): PersonPrincipal {
  const [method, assurance] = methods.includes('user')
    ? ['passkey', passkeyAcr]
    : methods.includes('mfa')
      ? ['totp', mfaAcr]
      : ['password', passwordAcr];
  const { id, username, name, roles, tenant } = person;
  const authentication = { method, assurance, mfa: methods.includes('mfa'), time: new Date(nowMs).toISOString() };
  return { kind: 'person', id, username, name, roles, tenant, client: 'account', authentication };
}
