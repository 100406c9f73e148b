/**
 * `GET <FHIR base>/.well-known/smart-configuration`, for whoever asks: it holds nothing about anybody, and an application needs it before it can have a token. A script of any
 * page may read it. Every answer is an event all the same, as that of the CapabilityStatement is, so that the counts of requests and of events stay equal; who asks
 * without end is counted.
 */
import type { IncomingMessage } from 'node:http';
import { neighbourhood } from '@watchglass/record/source';
import { anonymous, type Captured, discoveryEvent } from '../capture/capture.ts';
import type { Route } from '../exposure/route.ts';
import { type SmartDiscovery, smartFreshSeconds } from '../identity/smart-discovery.ts';
import type { Door, DoorAnswer } from './door.ts';
import { noRoute, Refused, soundTarget } from './refused.ts';

const suffix = '/.well-known/smart-configuration';
const cors: Readonly<Record<string, string>> = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': 'accept, content-type',
  'access-control-max-age': '86400',
  'cross-origin-resource-policy': 'cross-origin',
};

export class SmartDoor implements Door {
  readonly #paths: ReadonlySet<string>;
  readonly #discovery: SmartDiscovery;

  constructor(routes: readonly Route[], discovery: SmartDiscovery) {
    this.#paths = new Set(routes.flatMap(({ kind, prefix }) => (kind === 'fhir' ? [`${prefix}${suffix}`] : [])));
    this.#discovery = discovery;
  }

  isAskedFor({ url }: Pick<IncomingMessage, 'url'>): boolean {
    // Whatever is asked besides: with a query it would get to the API, whose own answer leads applications past the issuer.
    return url !== undefined && this.#paths.has(url.split('?', 1)[0] ?? '');
  }

  async serve(request: IncomingMessage, captured: Captured): Promise<DoorAnswer> {
    const { path: route } = soundTarget(request, captured);
    const { method = '' } = request;
    const operation = 'smart-configuration';
    const floodKey = `smart ${neighbourhood(captured.source.address)}`;
    if (method === 'OPTIONS')
      return {
        status: 204,
        headers: cors,
        event: discoveryEvent({ captured, operation, status: 204, route }),
        floodKey,
      };
    if (method !== 'GET' && method !== 'HEAD')
      throw noRoute(captured, 'method-not-allowed', { allow: 'GET, HEAD, OPTIONS' });
    const document = await this.#discovery.document();
    if (document === undefined) {
      const event = discoveryEvent({ captured, operation, status: 503, route, reason: 'issuer-unreachable' });
      throw new Refused('identity-unavailable', { ...event, actor: anonymous }, { floodKey, headers: cors });
    }
    return {
      status: 200,
      headers: {
        ...cors,
        'content-type': 'application/json',
        'cache-control': `public, max-age=${smartFreshSeconds}`,
      },
      body: JSON.stringify(document),
      event: discoveryEvent({ captured, operation, status: 200, route }),
      floodKey,
    };
  }
}
