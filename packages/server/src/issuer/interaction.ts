/**
 * The sign-in page's two requests: `GET /interaction/<uid>` shows the form, `POST` checks what was typed.
 *
 * A foreign site can't post it: the interaction's cookie is SameSite=Lax and signed, and the request must say that it
 * comes from a page of the issuer (`Origin`, `Sec-Fetch-Site`). Nothing is cached, nothing is framed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type Provider } from 'oidc-provider';
import type { Access, Origin } from '../access/access.ts';
import type { World } from '../world/world.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import { passwordAcr, passwordAmr } from './claims.ts';
import { renderErrorPage, renderSignInPage, styleSource } from './pages.ts';

const formBytesMax = 8_192;

export interface InteractionOptions {
  readonly provider: Provider;
  readonly people: Pick<Access['people'], 'signIn'>;
  readonly world: World;
  /** Origin of the issuer, e.g. `http://localhost:9442`. */
  readonly origin: string;
  readonly demo: boolean;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** Handles what lies under `/interaction/`. */
export function createInteraction(options: InteractionOptions): Handler {
  const { provider, world } = options;
  const limit = createAttemptLimit(world.clock);

  return async (request, response) => {
    let interaction: Interaction;
    try {
      interaction = await provider.interactionDetails(request, response);
    } catch (error) {
      if (!(error instanceof errors.SessionNotFound)) throw error;
      return sendPage(response, 400, renderErrorPage('This sign-in has expired, or it was begun in another browser.'));
    }
    if (!request.url?.startsWith(`/interaction/${interaction.uid}`)) {
      return sendPage(response, 404, renderErrorPage('There is no such page.'));
    }
    if (request.method === 'GET') return showForm(response, interaction, { status: 200, username: '' });
    if (request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return sendPage(response, 405, renderErrorPage('This page takes GET and POST.'));
    }
    if (!comesFromOurPage(request)) {
      return sendPage(response, 403, renderErrorPage('The form was sent from another site.'));
    }
    const waitMs = limit.take(request.socket.remoteAddress ?? '');
    if (waitMs > 0) return refuse(response, interaction, { status: 429, retryAfterMs: waitMs, username: '' });
    await checkPassword(request, response, interaction);
  };

  async function checkPassword(
    request: IncomingMessage,
    response: ServerResponse,
    interaction: Interaction,
  ): Promise<void> {
    const form = await readForm(request);
    const username = form?.get('username') ?? '';
    const password = form?.get('password') ?? '';
    if (form === undefined || username === '' || password === '') {
      return showForm(response, interaction, {
        status: 422,
        username,
        problem: 'Type your username and your password.',
      });
    }
    const client = clientOf(interaction);
    const signIn = await options.people.signIn({
      username,
      password,
      origin: originOf(request),
      ...(client ? { client } : {}),
    });
    if (signIn.kind === 'person') {
      const login = { accountId: signIn.person.id, acr: passwordAcr, amr: [...passwordAmr], remember: false };
      setHeaders(response, interaction);
      await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
      return;
    }
    if (signIn.reason === 'credentials') {
      return showForm(response, interaction, {
        status: 401,
        username,
        problem: 'That username and password don’t go together. Check both and try again.',
      });
    }
    const { retryAfterMs } = signIn;
    return refuse(response, interaction, { status: signIn.reason === 'locked' ? 429 : 503, retryAfterMs, username });
  }

  function comesFromOurPage(request: IncomingMessage): boolean {
    const site = request.headers['sec-fetch-site'];
    return request.headers.origin === options.origin && (site === undefined || site === 'same-origin');
  }

  function refuse(
    response: ServerResponse,
    interaction: Interaction,
    { status, retryAfterMs, username }: { status: 429 | 503; retryAfterMs: number; username: string },
  ): void {
    response.setHeader('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
    const minutes = Math.ceil(retryAfterMs / 60_000);
    const wait = minutes === 1 ? 'a minute' : `${minutes} minutes`;
    const problem =
      status === 503
        ? 'Many people are signing in. Try again in a moment.'
        : `Too many attempts. Try again in ${wait}, or ask an administrator.`;
    showForm(response, interaction, { status, username, problem });
  }

  function showForm(
    response: ServerResponse,
    interaction: Interaction,
    page: { status: number; username: string; problem?: string },
  ): void {
    const { status, username, problem } = page;
    const body = renderSignInPage({
      action: `/interaction/${interaction.uid}`,
      clientName: clientOf(interaction) === 'console' ? 'the console' : 'the application',
      username,
      demo: options.demo,
      ...(problem === undefined ? {} : { problem }),
    });
    sendPage(response, status, body, interaction);
  }
}

function sendPage(response: ServerResponse, status: number, body: string, interaction?: Interaction): void {
  setHeaders(response, interaction);
  response.statusCode = status;
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(body);
}

/** Browsers hold a form's whole chain of redirects against `form-action`, so the client's origin is in it. */
function setHeaders(response: ServerResponse, interaction: Interaction | undefined): void {
  const redirectUri = interaction?.params.redirect_uri;
  const client = typeof redirectUri === 'string' ? ` ${new URL(redirectUri).origin}` : '';
  setPageHeaders(response, `'self'${client}`);
}

/** What every page of the issuer carries. */
export function setPageHeaders(response: ServerResponse, formAction: string): void {
  response.setHeader(
    'content-security-policy',
    `default-src 'none'; style-src ${styleSource}; form-action ${formAction}; base-uri 'none'; frame-ancestors 'none'`,
  );
  response.setHeader('cache-control', 'no-store');
  response.setHeader('pragma', 'no-cache');
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('x-frame-options', 'DENY');
  // Not `no-referrer`: with it browsers send `Origin: null` with the form.
  response.setHeader('referrer-policy', 'same-origin');
  response.setHeader('cross-origin-opener-policy', 'same-origin');
}

function clientOf(interaction: Interaction): string | undefined {
  const client = interaction.params.client_id;
  return typeof client === 'string' ? client : undefined;
}

function originOf(request: IncomingMessage): Origin {
  const address = request.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '');
  const userAgent = request.headers['user-agent'];
  return { ...(address === undefined ? {} : { address }), ...(userAgent === undefined ? {} : { userAgent }) };
}

/** The form's fields; undefined for another content type or a body past the bound. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > formBytesMax) return undefined;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}
