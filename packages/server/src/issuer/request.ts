/** What the issuer's pages read of a request: where it comes from, and a form of bounded size. */
import type { IncomingMessage } from 'node:http';
import { clientAddress, neighbourhood, type TrustedProxies } from '@watchglass/record/source';
import type { Origin } from '../access/access.ts';

/** A passkey's answer is in it: an attestation with its certificates has some kilobytes. */
const formBytesMax = 8_192;

interface Seen {
  readonly address: string;
  readonly isProxy: boolean;
}

const sources = new WeakMap<IncomingMessage, Seen>();

/** Once, at the door: what a request says of itself is taken out of it then (issuer.ts). */
export function noteSource(request: IncomingMessage, proxies: TrustedProxies): void {
  const address = clientAddress(request, proxies);
  if (address !== undefined) sources.set(request, { address, isProxy: proxies.includes(address) });
}

/** Whom a limit counts: an address, or the network that one IPv6 client can fill alone. */
export function countedAs(request: IncomingMessage): string {
  return neighbourhood(sources.get(request)?.address);
}

export function addressOf(request: IncomingMessage): Origin {
  const source = sources.get(request);
  const userAgent = request.headers['user-agent'];
  return {
    ...(source === undefined ? {} : { address: source.address }),
    ...(source?.isProxy === true ? { isProxy: true } : {}),
    ...(userAgent === undefined ? {} : { userAgent }),
  };
}

/** The form was sent by a page of the issuer itself. */
export function comesFromOurPage({ headers }: IncomingMessage, origin: string): boolean {
  const site = headers['sec-fetch-site'];
  return headers.origin === origin && (site === undefined || site === 'same-origin');
}

/** The form's fields; undefined for another content type or a body past the bound. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const text = await readBody(request, 'application/x-www-form-urlencoded');
  return text === undefined ? undefined : new URLSearchParams(text);
}

/** A small body of this type; undefined for another one, or past the bound. */
export async function readBody(request: IncomingMessage, contentType: string): Promise<string | undefined> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== contentType) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > formBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
