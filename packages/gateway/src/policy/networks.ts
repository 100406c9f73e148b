/**
 * From where: addresses and CIDR ranges under a name. `net.BlockList` finds one among thousands in a microsecond, and says false for garbage, so what isn't
 * an address never gets to it. Addresses come in their plain form (@watchglass/record/source): IPv4 as such, also where it was mapped into IPv6.
 */
import { BlockList, isIP } from 'node:net';

/** `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`. */
export function isRange(text: string): boolean {
  return parseRange(text) !== undefined;
}

export class Networks {
  readonly #list = new BlockList();

  /** All of them sound by `isRange`. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const parsed = parseRange(range);
      if (parsed !== undefined) this.#list.addSubnet(parsed.address, parsed.bits, parsed.family);
    }
  }

  /** False for an address that nobody knows. */
  includes(address: string | undefined): boolean {
    if (address === undefined) return false;
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }
}

function parseRange(
  text: string,
): { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [address, prefix, more] = text.split('/', 3) as [string, string?, string?];
  const version = isIP(address);
  const most = version === 4 ? 32 : 128;
  if (version === 0 || more !== undefined || address.includes('%')) return undefined;
  if (prefix === undefined) return { address, bits: most, family: version === 4 ? 'ipv4' : 'ipv6' };
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > most) return undefined;
  return { address, bits: Number(prefix), family: version === 4 ? 'ipv4' : 'ipv6' };
}
