/**
 * Where issuers tell that a session has ended: one exact path of the listener, `POST` with a form. Who may speak is settled by the signature of what is
 * said, so there is no token; what is said is an event, and what is refused is one too, or is counted when it comes without end.
 */
import type { IncomingMessage } from 'node:http';
import { neighbourhood } from '@watchglass/record/source';
import { anonymous, type Captured, logoutEvent } from '../capture/capture.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';
import { RequestBodyError, readBody } from '../http/body.ts';
import { isForm } from '../http/media-type.ts';
import { hasBody, messageFault } from '../http/message.ts';
import { type BackChannelLogout, type EndedSession, logoutFormBytesMax } from '../identity/back-channel-logout.ts';
import type { Door, DoorAnswer } from './door.ts';
import { Refused, violation } from './refused.ts';

export class LogoutDoor implements Door {
  readonly #path: string;
  readonly #logout: BackChannelLogout;

  constructor(path: string, logout: BackChannelLogout) {
    this.#path = path;
    this.#logout = logout;
  }

  isAskedFor({ method, url }: Pick<IncomingMessage, 'method' | 'url'>): boolean {
    return url === this.#path && method === 'POST';
  }

  /** The status to answer with, and the event that says so. Throws `Refused`. */
  async serve(request: IncomingMessage, captured: Captured): Promise<DoorAnswer> {
    const fault = messageFault(request);
    if (fault !== undefined) throw violation(captured, 'protocol-violation', fault);
    if (!isForm(request.headers['content-type'])) throw this.#refused(captured, 'logout-request');
    if (request.headers.expect !== undefined) throw this.#refused(captured, 'logout-request');
    const body = hasBody(request) ? await this.#read(request, captured) : '';
    const verdict = await this.#logout.receive(body);
    switch (verdict.kind) {
      case 'ended': {
        const { ended, unhear } = verdict;
        return { status: 200, event: this.#event(captured, { status: 200, ended }), unhear };
      }
      case 'refused':
        throw this.#refused(captured, verdict.reason);
      case 'unavailable': {
        const { reason, ended } = verdict;
        const event = this.#event(captured, { status: 503, reason, ...(ended === undefined ? {} : { ended }) });
        throw new Refused('identity-unavailable', event, { floodKey: floodKeyOf(captured, reason) });
      }
      default:
        return verdict satisfies never;
    }
  }

  async #read(request: IncomingMessage, captured: Captured): Promise<string> {
    try {
      return (await readBody(request, logoutFormBytesMax)).toString('utf8');
    } catch (error) {
      if (!(error instanceof RequestBodyError)) throw error;
      throw this.#refused(captured, 'logout-request');
    }
  }

  #refused(captured: Captured, reason: string): Refused {
    return new Refused('logout-invalid', this.#event(captured, { status: 400, reason }), {
      floodKey: floodKeyOf(captured, reason),
      headers: { connection: 'close' },
    });
  }

  #event(
    captured: Captured,
    { status, reason, ended }: { readonly status: number; readonly reason?: string; readonly ended?: EndedSession },
  ): EventDraftFacts {
    const { actor, session } = ended ?? {};
    return logoutEvent({
      captured,
      status,
      reason,
      route: this.#path,
      actor: { ...(actor === undefined ? anonymous : { id: actor }), ...(session === undefined ? {} : { session }) },
      issuer: ended?.issuer,
    });
  }
}

function floodKeyOf(captured: Captured, reason: string): string {
  return `logout ${reason} ${neighbourhood(captured.source.address)}`;
}
