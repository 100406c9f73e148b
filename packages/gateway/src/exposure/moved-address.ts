/**
 * Addresses of the API in the bytes of a Bundle, moved to where clients reach it: the base only, however it is written there (`http:\/\/…`), and never one that merely begins alike. What
 * is behind the base stays what it is, to the byte.
 */

export interface Move {
  /** Bases of the API, as it may call itself: origin and prefix, without a slash at the end. */
  readonly from: readonly string[];
  /** Base of the gateway. */
  readonly to: string;
}

/** Of an API at these origins, below this prefix. */
export function moveOf(origins: readonly string[], prefix: string, publicBase: string): Move {
  const from = origins.flatMap((origin) => [origin, withPort(origin)]).map((origin) => origin + prefix);
  return { from: [...new Set(from)], to: publicBase + prefix };
}

/** Some say the port that goes without saying. */
function withPort(origin: string): string {
  const { protocol, port, hostname } = new URL(origin);
  return port !== '' ? origin : `${protocol}//${hostname}:${protocol === 'https:' ? 443 : 80}`;
}

/** `text` is a JSON string with its quotes; undefined for what leads elsewhere. */
export function movedText(text: Uint8Array, { from, to }: Move): Buffer | undefined {
  for (const base of from) {
    const end = endOf(text, base);
    if (end !== undefined) return Buffer.concat([Buffer.from(`"${to}`), text.subarray(end)]);
  }
  return undefined;
}

/** May any of them stand in it? Plain text would show it as it is; what is escaped has to be read. */
export function mayHoldAddress(body: Buffer, { from }: Move): boolean {
  return (
    from.some((base) => body.includes(base)) ||
    body.includes('\\/') ||
    body.includes('\\u00') ||
    // A host may be written in capitals, but hardly ever is.
    new RegExp(from.map(literally).join('|'), 'i').test(body.toString('latin1'))
  );
}

function literally(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]/g, '\\$&');
}

/** Where the base ends; undefined for a text that doesn't begin with it, or goes on in the same segment. Of its origin the case doesn't matter (RFC 3986 §6.2.2.1). */
function endOf(text: Uint8Array, base: string): number | undefined {
  const pathFrom = base.indexOf('/', base.indexOf('//') + 2);
  const originEnd = pathFrom === -1 ? base.length : pathFrom;
  let at = 1;
  for (let n = 0; n < base.length; n += 1) {
    const [code, end] = letterAt(text, at);
    if (code === undefined || (n < originEnd ? lowerCase(code) : code) !== base.charCodeAt(n)) return undefined;
    at = end;
  }
  const [next] = letterAt(text, at);
  return at === text.length - 1 || next === slash || next === question || next === hash ? at : undefined;
}

function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}

const backslash = 0x5c;
const slash = 0x2f;
const question = 0x3f;
const hash = 0x23;

/** A code unit of ASCII that can stand in an address, as it is meant, and where what writes it ends. */
function letterAt(text: Uint8Array, at: number): readonly [code: number | undefined, end: number] {
  if (text[at] !== backslash) return [text[at], at + 1];
  if (text[at + 1] === slash) return [slash, at + 2];
  if (text[at + 1] !== 0x75) return [undefined, at + 2];
  return [Number.parseInt(Buffer.from(text.subarray(at + 2, at + 6)).toString('latin1'), 16), at + 6];
}
