/**
 * What a browser asks before it sends a script's request to another origin (a CORS preflight): answered for the origins that are configured, on the paths of the routes, without
 * a token, which it never has. All other `OPTIONS` are refused like any method that isn't known.
 */
import type { IncomingMessage } from 'node:http';
import { neighbourhood } from '@watchglass/record/source';
import { type Captured, discoveryEvent } from '../capture/capture.ts';
import type { Route } from '../exposure/route.ts';
import type { Cors } from '../http/cors.ts';
import type { Door, DoorAnswer } from './door.ts';
import { soundTarget } from './refused.ts';

export class PreflightDoor implements Door {
  readonly #prefixes: readonly string[];
  readonly #cors: Cors;

  constructor(routes: readonly Pick<Route, 'prefix'>[], cors: Cors) {
    this.#prefixes = routes.map(({ prefix }) => prefix);
    this.#cors = cors;
  }

  isAskedFor({ method, url = '', headers }: Pick<IncomingMessage, 'method' | 'url' | 'headers'>): boolean {
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
    if (!this.#cors.allows(headers.origin)) return false;
    const [path = ''] = url.split('?', 1);
    return this.#prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
  }

  async serve(request: IncomingMessage, captured: Captured): Promise<DoorAnswer> {
    const { headers } = request;
    soundTarget(request, captured);
    const requested = headers['access-control-request-headers'];
    return {
      status: 204,
      headers: this.#cors.preflightHeaders(headers.origin ?? '', Array.isArray(requested) ? undefined : requested),
      // The path may hold an id, and nothing was asked for yet: it is left out.
      event: discoveryEvent({ captured, status: 204, operation: 'preflight' }),
      floodKey: `preflight ${neighbourhood(captured.source.address)}`,
    };
  }
}
