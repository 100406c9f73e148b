/**
 * A list of addresses and CIDR ranges, each of which may end at a moment. `net.BlockList` finds one among thousands in a microsecond, but says false for
 * garbage and forgets nothing: so what isn't an address never gets to it, and it is made anew when an entry ends. IPv4 counts as such also where it came mapped
 * into IPv6.
 */
import { BlockList, isIP } from 'node:net';

export interface AddressEntry {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
  /** Milliseconds since 1970. */
  readonly untilMs?: number | undefined;
}

/** `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`, `::ffff:192.0.2.0/120`. */
export function parseAddressRange(text: string): AddressEntry | undefined {
  const [address, prefix, more] = text.split('/', 3) as [string, string?, string?];
  const version = isIP(address);
  if (version === 0 || more !== undefined || address.includes('%')) return undefined;
  const most = version === 4 ? 32 : 128;
  if (prefix !== undefined && (!/^(?:0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > most)) return undefined;
  const bits = prefix === undefined ? most : Number(prefix);
  if (version === 4) return { address, bits, family: 'ipv4' };
  const mapped = mappedIpv4(address);
  return mapped !== undefined && bits >= 96
    ? { address: mapped, bits: bits - 96, family: 'ipv4' }
    : { address, bits, family: 'ipv6' };
}

/** One entry a line: a range, `until=` and a moment with its zone if it ends, `#` and a comment. Says which line is none. */
export function parseAddressList(
  text: string,
):
  | { readonly kind: 'list'; readonly entries: readonly AddressEntry[] }
  | { readonly kind: 'bad'; readonly line: number } {
  const entries: AddressEntry[] = [];
  for (const [position, line] of text.split('\n').entries()) {
    const words = (line.split('#', 1)[0] as string).trim().split(/\s+/);
    if (words[0] === '') continue;
    const entry = parseEntry(words);
    if (entry === undefined || entries.length >= entriesMax) return { kind: 'bad', line: position + 1 };
    entries.push(entry);
  }
  return { kind: 'list', entries };
}

const entriesMax = 100_000;

function parseEntry([range = '', until, more]: readonly string[]): AddressEntry | undefined {
  const entry = parseAddressRange(range);
  if (entry === undefined || more !== undefined) return undefined;
  if (until === undefined) return entry;
  const moment = /^until=(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))$/.exec(until)?.[1];
  const untilMs = moment === undefined ? Number.NaN : Date.parse(moment);
  return Number.isNaN(untilMs) ? undefined : { ...entry, untilMs };
}

/** `::ffff:192.0.2.1` and its other spellings. */
function mappedIpv4(address: string): string | undefined {
  const [, high, low] =
    /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(new URL(`http://[${address}]`).hostname.slice(1, -1)) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
}

export class AddressList {
  readonly #entries: readonly AddressEntry[];
  #list = new BlockList();
  #aliveCount = 0;
  /** When the next entry ends. */
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(entries: readonly AddressEntry[]) {
    this.#entries = entries;
  }

  /** Whether nothing was ever in it: one whose entries have ended is not empty. */
  get empty(): boolean {
    return this.#entries.length === 0;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** False for an address that nobody knows. */
  includes(address: string | undefined, nowMs: number): boolean {
    if (address === undefined || this.empty) return false;
    if (nowMs >= this.#nextMs) this.#make(nowMs);
    if (this.#aliveCount === 0) return false;
    const version = isIP(address);
    if (version === 0) return false;
    if (version === 4) return this.#list.check(address, 'ipv4');
    const mapped = address.startsWith('::') ? mappedIpv4(address.split('%', 1)[0] as string) : undefined;
    return mapped === undefined ? this.#list.check(address, 'ipv6') : this.#list.check(mapped, 'ipv4');
  }

  #make(nowMs: number): void {
    this.#list = new BlockList();
    this.#aliveCount = 0;
    this.#nextMs = Number.POSITIVE_INFINITY;
    for (const { address, bits, family, untilMs } of this.#entries) {
      if (untilMs !== undefined && untilMs <= nowMs) continue;
      this.#list.addSubnet(address, bits, family);
      this.#aliveCount += 1;
      this.#nextMs = Math.min(this.#nextMs, untilMs ?? Number.POSITIVE_INFINITY);
    }
  }
}
