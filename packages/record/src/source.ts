/**
 * `@watchglass/record/source`: where a request comes from, the same for every door that says so in an event. Node only. The peer of the connection, unless that is a proxy the operator named: then
 * `X-Forwarded-For` is read from right to left, and the first address that isn't one of ours is the client. Nobody is trusted by default.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

const hopsMax = 16;
/** Of a range; nothing that only JavaScript takes for a number, least of all nothing: `10.0.0.0/` would be everybody. */
const bitsPattern = /^(0|[1-9]\d{0,2})$/;

export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #empty: boolean;

  /** `10.0.0.0/8`, `::1`, … Throws on anything else. */
  constructor(ranges: readonly string[]) {
    this.#empty = ranges.length === 0;
    for (const range of ranges) {
      const [address, prefix, more] = range.split('/') as [string, string?, string?];
      const family = isIP(address);
      const bitsMax = family === 4 ? 32 : 128;
      const bits = Number(prefix ?? bitsMax);
      if (family === 0 || more !== undefined || !bitsPattern.test(prefix ?? '0') || bits > bitsMax) {
        throw new RangeError(`expected an address or CIDR range, got ${range.length} characters that are neither`);
      }
      this.#list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** `BlockList.check` says false for garbage, so what isn't an address never gets there. */
  includes(address: string): boolean {
    const family = isIP(address);
    return !this.#empty && family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** The client's address; undefined when the connection is gone already. */
export function clientAddress(
  request: Pick<IncomingMessage, 'headers' | 'socket'>,
  proxies: TrustedProxies,
): string | undefined {
  let address = peerAddress(request.socket);
  if (address === undefined || !proxies.includes(address)) return address;
  const forwarded = request.headers['x-forwarded-for'];
  const hops = (Array.isArray(forwarded) ? forwarded.join(',') : (forwarded ?? '')).split(',').slice(-hopsMax);
  for (const hop of hops.toReversed()) {
    const next = plainAddress(hop.trim());
    if (next === undefined) return address;
    address = next;
    if (!proxies.includes(address)) return address;
  }
  return address;
}

/** Read once for each connection. */
const peers = new WeakMap<object, string>();

/** Who is at the other end of the connection. */
export function peerAddress(socket: IncomingMessage['socket']): string | undefined {
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const address = plainAddress(socket.remoteAddress);
  if (address !== undefined) peers.set(socket, address);
  return address;
}

/** Without a zone, and IPv4 as such also where it came mapped into IPv6. */
export function plainAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const address = text.split('%', 1)[0] as string;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return isIP(mapped) === 4 ? mapped : undefined;
  return isIP(address) === 0 ? undefined : address;
}

/** Whom repetitions are counted for: an address, or the /64 that one IPv6 client can fill alone. */
export function neighbourhood(address: string | undefined): string {
  if (address === undefined || isIP(address) !== 6) return address ?? 'unknown';
  // The URL parser writes every spelling of an address in one way (RFC 5952).
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  return [...groups, ...Array<string>(missing).fill('0')].slice(0, 4).join(':');
}
