/**
 * The sign-in page's two requests: `GET /interaction/<uid>` shows the form, `POST` takes what was typed (sign-in-steps.ts).
 *
 * A foreign site can't post it: the interaction's cookie is SameSite=Lax and signed, and the request must say that it
 * comes from a page of the issuer (`Origin`, `Sec-Fetch-Site`). Nothing is cached, nothing is framed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type Provider } from 'oidc-provider';
import type { World } from '../world/world.ts';
import { createAttemptLimit } from './attempt-limit.ts';
import type { LaunchStep, LaunchVisit } from './launch-step.ts';
import { renderErrorPage, scriptSource, styleSource } from './pages.ts';
import { addressOf, comesFromOurPage, countedAs, readForm } from './request.ts';
import { type SignInSteps, tooManySentence } from './sign-in-steps.ts';

export interface InteractionOptions {
  readonly provider: Provider;
  readonly steps: SignInSteps;
  readonly launchStep: LaunchStep;
  readonly world: World;
  /** Origin of the issuer, e.g. `http://localhost:9442`. */
  readonly origin: string;
  readonly clientName: (id: string) => string;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** Handles what lies under `/interaction/`. */
export function createInteraction(options: InteractionOptions): Handler {
  const { provider, steps, launchStep } = options;
  const limit = createAttemptLimit(options.world.clock);

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
    const visit = visitOf(request, response, interaction);
    const choosing = launchStep.waits(visit);
    if (request.method === 'GET') return choosing ? launchStep.show(visit) : steps.show(visit);
    if (request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return sendPage(response, 405, renderErrorPage('This page takes GET and POST.'));
    }
    if (!comesFromOurPage(request, options.origin)) {
      return sendPage(response, 403, renderErrorPage('The form was sent from another site.'));
    }
    const waitMs = limit.take(countedAs(request));
    if (waitMs > 0) return visit.send(429, renderErrorPage(tooManySentence(waitMs)), waitMs);
    const form = await readForm(request);
    await (choosing ? launchStep.submit(visit, form) : steps.submit(visit, form));
  };

  function visitOf(request: IncomingMessage, response: ServerResponse, interaction: Interaction): LaunchVisit {
    const { client_id: client, acr_values: wanted, scope, launch } = interaction.params;
    const end = async (result: Parameters<Provider['interactionFinished']>[2]): Promise<void> => {
      setHeaders(response, interaction);
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    };
    const visit: LaunchVisit = {
      key: `interaction ${interaction.uid}`,
      action: `/interaction/${interaction.uid}`,
      clientName: options.clientName(typeof client === 'string' ? client : ''),
      ...(typeof client === 'string' ? { client } : {}),
      wanted: typeof wanted === 'string' ? wanted.split(' ') : [],
      origin: addressOf(request),
      send: (status, body, retryAfterMs) => {
        if (retryAfterMs !== undefined) response.setHeader('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
        sendPage(response, status, body, interaction);
      },
      asked: {
        scopes: typeof scope === 'string' ? scope.split(' ') : [],
        ...(typeof launch === 'string' ? { launch } : {}),
      },
      finish: (person, assurance) => launchStep.begin(visit, person, assurance),
      goOn: (person, { acr, methods, provenMs }, context) =>
        end({
          login: { accountId: person.id, acr, amr: [...methods], remember: false },
          provenMs,
          ...(context === undefined ? {} : { context }),
        }),
      refuse: (error, error_description) => end({ error, error_description }),
      giveUp: () =>
        // RFC 9470 §5: the client hears why.
        end({
          error: 'unmet_authentication_requirements',
          error_description: 'the person cannot sign in as strongly as was asked for',
        }),
    };
    return visit;
  }
}

export function sendPage(response: ServerResponse, status: number, body: string, interaction?: Interaction): void {
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
    `default-src 'none'; style-src ${styleSource}; script-src ${scriptSource}; form-action ${formAction}; base-uri 'none'; frame-ancestors 'none'`,
  );
  response.setHeader('cache-control', 'no-store');
  response.setHeader('pragma', 'no-cache');
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('x-frame-options', 'DENY');
  // Not `no-referrer`: with it browsers send `Origin: null` with the form.
  response.setHeader('referrer-policy', 'same-origin');
  response.setHeader('cross-origin-opener-policy', 'same-origin');
}
