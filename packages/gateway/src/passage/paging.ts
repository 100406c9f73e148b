/**
 * The pages of a search: where an answer says how to go on, the client is told a sealed way through the gateway, and who follows it is judged as the search that it continues. What would
 * lead past the gateway, and a page without our seal, is refused.
 */
import type { IncomingHttpHeaders } from 'node:http';

import { BundleAddresses, type Readdress, type Relink, readdressBundle } from '../exposure/bundle-addresses.ts';
import { isMapped } from '../exposure/json-map.ts';
import { type Move, moveOf } from '../exposure/moved-address.ts';
import { pathOf } from '../exposure/page-links.ts';
import type { Parameter } from '../http/canonical.ts';
import { isJson } from '../http/media-type.ts';
import type { Admitted, Carried } from './admission.ts';
import { isExport } from './export.ts';
import { hasPages, isPageParameter } from './followed-page.ts';
import type { HeldBeginning, HeldWhole } from './forward.ts';
import { openedBody } from './learn.ts';
import {
  type Exchange,
  type Lead,
  leadOf,
  type PagingParts,
  placesOf,
  plainly,
  publicBaseOf,
  withoutUrl,
} from './link-lead.ts';
import { isChange } from './outcome.ts';
import { denied } from './refused.ts';

/** Does it name a page without saying which search that is of? */
export function isOpaque({ name }: Parameter, { opaqueParameters }: Pick<PagingParts, 'opaqueParameters'>): boolean {
  return opaqueParameters.has(name.toLowerCase());
}

/** By what no seal vouches for nobody knows which search would go on. Throws `Refused`. */
export function refuseUnsealed(
  admitted: Admitted,
  { parameters, entries }: Pick<Carried, 'parameters' | 'entries'>,
  parts: Pick<PagingParts, 'opaqueParameters'>,
): void {
  if (isMapped(admitted.interaction)) return;
  const isUnsealed = (parameter: Parameter): boolean => isPageParameter(parameter) || isOpaque(parameter, parts);
  const own = admitted.page !== undefined ? [] : parameters;
  if (own.some(isUnsealed) || entries.some((entry) => entry.parameters.some(isUnsealed)))
    throw denied({ ...admitted, parameters }, 'page-refused', 'page-unsealed');
}

/** The answer with the gateway's addresses in place of the upstream's; undefined where a link of it can't be followed through it. */
export function pagesThroughGateway(
  held: HeldWhole | HeldBeginning,
  exchange: Exchange,
  parts: PagingParts,
): HeldWhole | HeldBeginning | undefined {
  const { interaction } = exchange.admitted;
  if (isMapped(interaction)) return held;
  const pages = hasPages(interaction);
  const batch = interaction.name === 'batch';
  if (!(pages || batch || (interaction.name === 'operation' && !interaction.safe && !isExport(interaction))))
    return held;
  if (held.status >= 300 && held.status < 400)
    return pages || batch ? redirected(held, ofRequest(exchange, parts)) : held;
  // What was only taken on has no pages yet.
  if (held.status >= 400 || held.status === 202) return held;
  // The same links in fields of the answer, for clients that look there.
  const { link: _link, 'content-location': _location, ...rest } = held.headers;
  const headers = pages || batch ? rest : held.headers;
  const type = headers['content-type'];
  if (typeof type !== 'string' || !isJson(type)) return { ...held, headers };
  // Nobody has seen what would come, and it may be changed: nothing is said of its bytes (RFC 9110 §9.3.2).
  if (exchange.admitted.captured.method === 'HEAD') return { ...held, headers: ofChanged(headers) };
  const to = { relink: relinkIn(exchange, parts), move: moveIn(exchange, parts) };
  if (held.kind === 'beginning') {
    // Of what was changed the client has to hear, in whatever way it is written.
    const unread = !pages && (headers['content-encoding'] ?? 'identity') !== 'identity';
    return unread ? { ...held, headers } : readdressed({ ...held, headers }, to);
  }
  const body = openedBody(held, parts.exposureBytesMax);
  // The API was asked for plain bytes; its links would lead past the gateway.
  if (body === undefined) return pages ? undefined : { ...held, headers };
  const changed = readdressBundle(body, to);
  if (changed === undefined) return undefined;
  return changed === body
    ? { ...held, headers }
    : { ...held, headers: ofChanged(headers), body: changed, asItCame: body };
}

/** Whoever follows it goes where a page would be, and what was searched for by POST would stand in its URL. */
function redirected(held: HeldWhole | HeldBeginning, led: Lead): HeldWhole | HeldBeginning | undefined {
  const { location } = held.headers;
  if (location === undefined) return held;
  // Said twice, it is a list.
  const moved = typeof location === 'string' ? led({ relation: 'next', url: location }) : undefined;
  return moved === undefined ? undefined : { ...held, headers: { ...held.headers, location: String(moved.url) } };
}

/** Of one that is too large to hold: an address is held until it ends, wherever it stands. */
function readdressed(held: HeldBeginning, to: Readdress): HeldBeginning | undefined {
  const encoding = held.headers['content-encoding'] ?? 'identity';
  const trial = new BundleAddresses(to);
  const beginning = encoding === 'identity' ? trial.change(held.beginning) : undefined;
  if (beginning === undefined) return undefined;
  if (trial.broken) return held;
  const addresses = new BundleAddresses(to);
  return {
    ...held,
    headers: ofChanged(held.headers),
    streamTo: async (response, tap) => {
      const end = await held.streamTo(response, tap, (chunk) => addresses.change(chunk));
      return { ...end, bytes: end.bytes + addresses.addedBytes };
    },
  };
}

/** What a field says about the bytes that came is not so any more. */
function ofChanged(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !aboutBytes.has(name)));
}

const aboutBytes: ReadonlySet<string> = new Set([
  'accept-ranges',
  'content-digest',
  'content-encoding',
  'content-length',
  'content-md5',
  'content-range',
  'digest',
  'etag',
  'last-modified',
  'repr-digest',
]);

/** Which search a link goes on with is told by where it stands. */
function relinkIn(exchange: Exchange, parts: PagingParts): Relink {
  const { admitted, carried } = exchange;
  if (admitted.interaction.name === 'batch') {
    const changes = isChange(admitted, carried);
    return (link, place) => {
      const entry = carried.entries[place.position ?? -1];
      if (entry === undefined || place.depth !== 1 || place.ofEntry || !hasPages(entry.interaction))
        return plainly(link, exchange, parts);
      const said = leadOf({ ...exchange, ...entry, clear: false }, parts)(link);
      // What was changed is changed, and the client has to hear of it: a link that leads elsewhere leads nowhere.
      return said ?? (changes ? withoutUrl(link) : undefined);
    };
  }
  if (!hasPages(admitted.interaction)) return (link) => plainly(link, exchange, parts);
  const led = ofRequest(exchange, parts);
  return (link, { depth, ofEntry }) => (depth > 0 || ofEntry ? plainly(link, exchange, parts) : led(link));
}

function ofRequest(exchange: Exchange, parts: PagingParts): Lead {
  const { admitted, carried } = exchange;
  const { interaction } = admitted;
  return leadOf({ ...exchange, interaction, parameters: carried.parameters, clear: isClear(admitted) }, parts);
}

/** The client itself put what it searches for into a URL: there it may stand once more. */
function isClear({ page, captured, interaction }: Admitted): boolean {
  return page === undefined && !interaction.form && captured.method === 'GET';
}

function moveIn(exchange: Exchange, parts: PagingParts): Move {
  const { prefix } = placesOf(exchange, pathOf(exchange.admitted.interaction), parts);
  return moveOf(exchange.origins, prefix, publicBaseOf(parts));
}
