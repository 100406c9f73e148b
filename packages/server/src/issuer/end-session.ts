/**
 * Signing out (OpenID Connect RP-Initiated Logout 1.0). Each sign-in is of one application, so what ends is the session that the ID token of the hint is of: the person is asked
 * first, since anybody could send a browser here, and is sent back where the application registered it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { jwtVerify } from 'jose';
import { accountPath } from './account.ts';
import { setPageHeaders } from './interaction.ts';
import type { IssuerClient } from './issuer-client.ts';
import { renderNotSignedOutPage, renderSignedOutPage, renderSignOutPage } from './pages.ts';
import { addressOf, comesFromOurPage, readForm } from './request.ts';
import type { SessionsEnd } from './sessions-end.ts';
import type { AppSignIn, SignIns } from './sign-ins.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

export const endSessionPath = '/session/end';
const carried = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state'] as const;
const valueCharsMax = 4_096;
/** An ID token may have expired long ago: it says whose session it was, and lets nobody in. */
const hintAgeMax = '30 days';

interface Wish {
  readonly client: IssuerClient | undefined;
  readonly signIn: AppSignIn | undefined;
  /** Where to go then, `state` included. */
  readonly backTo: string | undefined;
}

export function createEndSession(parts: {
  readonly issuer: string;
  readonly origin: string;
  readonly signingKey: SigningKey;
  readonly clients: readonly IssuerClient[];
  readonly signIns: SignIns;
  readonly sessionsEnd: SessionsEnd;
  readonly now: () => number;
}): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { clients, signIns, sessionsEnd } = parts;

  async function wishOf(said: URLSearchParams): Promise<Wish | string> {
    const hint = said.get('id_token_hint');
    const claims = hint === null ? undefined : await claimsOf(hint);
    if (hint !== null && claims === undefined) return 'The application sent you here with a token that is not good.';
    const id = said.get('client_id') ?? claims?.client;
    if (claims !== undefined && id !== claims.client)
      return 'The application sent you here with a token of another one.';
    const client = clients.find((one) => one.id === id);
    if (id !== undefined && client === undefined) return 'The application that sent you here is not known.';
    const backTo = said.get('post_logout_redirect_uri');
    // Never to somewhere that nobody registered: a page of ours must not send people on to a stranger.
    if (backTo !== null && client?.postLogoutRedirectUris?.includes(backTo) !== true)
      return 'The application wants to send you on to a place that it has not registered.';
    const found = claims === undefined ? undefined : signIns.get(claims.sid);
    const signIn = found?.person === claims?.person && found?.client === claims?.client ? found : undefined;
    return { client, signIn, backTo: backTo === null ? undefined : withState(backTo, said.get('state')) };
  }

  async function claimsOf(hint: string): Promise<{ sid: string; client: string; person: string } | undefined> {
    try {
      const { payload } = await jwtVerify(hint, parts.signingKey.publicKeys, {
        issuer: parts.issuer,
        algorithms: [issuerAlgorithm],
        maxTokenAge: hintAgeMax,
        // Not its end: only its age counts.
        currentDate: new Date(parts.now()),
        clockTolerance: hintAgeMax,
      });
      const { sub, aud, sid, events } = payload;
      // A logout token says who it is about as well, and is in the hands of others.
      if (events !== undefined) return undefined;
      return typeof sub === 'string' && typeof aud === 'string' && typeof sid === 'string'
        ? { sid, client: aud, person: sub }
        : undefined;
    } catch {
      return undefined;
    }
  }

  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return send(response, 405, notEnded('This page takes GET and POST.'));
    }
    const query = new URL(request.url ?? '', parts.origin).searchParams;
    const said = request.method === 'GET' ? query : await readForm(request);
    if (
      said === undefined ||
      carried.some((name) => said.getAll(name).length > 1 || (said.get(name)?.length ?? 0) > valueCharsMax)
    )
      return send(response, 400, notEnded('The application sent you here with something that can’t be read.'));
    const wish = await wishOf(said);
    if (typeof wish === 'string') return send(response, 400, notEnded(wish));
    const { client, signIn, backTo } = wish;
    const confirmed = said.get('confirm') === 'yes' && request.method === 'POST';
    if (confirmed && !comesFromOurPage(request, parts.origin))
      return send(response, 403, notEnded('The form was sent from another site.'));
    if (signIn !== undefined && !confirmed) {
      const fields = carried.flatMap((name) => (said.has(name) ? [{ name, value: said.get(name) ?? '' }] : []));
      const page = renderSignOutPage({ action: endSessionPath, clientName: client?.name ?? 'the application', fields });
      return send(response, 200, page, backTo);
    }
    if (signIn !== undefined) await sessionsEnd.one(signIn, addressOf(request));
    if (backTo === undefined) return send(response, 200, signIn === undefined ? notEnded() : renderSignedOutPage());
    setPageHeaders(response, "'none'");
    response.writeHead(303, { location: backTo }).end();
  };
}

function notEnded(problem?: string): string {
  return renderNotSignedOutPage({ accountUrl: accountPath, ...(problem === undefined ? {} : { problem }) });
}

function send(response: ServerResponse, status: number, body: string, backTo?: string): void {
  // Browsers hold a form's whole chain of redirects against `form-action`.
  setPageHeaders(response, `'self'${backTo === undefined ? '' : ` ${new URL(backTo).origin}`}`);
  response.statusCode = status;
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(body);
}

function withState(uri: string, state: string | null): string {
  if (state === null) return uri;
  const url = new URL(uri);
  url.searchParams.set('state', state);
  return url.href;
}
