/**
 * What a text may look like. Each format is one linear check, the words for its errors, and the same rule in JSON
 * Schema; a test holds the two equal. No expression here can backtrack.
 */
import { tenantPattern } from './tenant.ts';
import { uuidv7Pattern } from './uuid.ts';

export type TextFormat =
  | 'line'
  | 'name'
  | 'code'
  | 'bare-id'
  | 'uuidv7'
  | 'time'
  | 'time-ms'
  | 'tenant'
  | 'address'
  | 'country'
  | 'traceparent'
  | 'pointer'
  | 'sha256-hex';

export interface TextRule {
  readonly test: (text: string) => boolean;
  readonly expected: string;
  /** The form itself says how long the text is. */
  readonly sized?: true;
  /** What came instead, where that can be said without repeating it. */
  readonly explain?: (text: string) => string | undefined;
  readonly jsonSchema: Readonly<Record<string, unknown>>;
}

// Control characters, line and paragraph separators, bidirectional overrides and lone surrogates have no place in a line.
const lineClass = '[^\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]';
const asciiLine = /^[\x20-\x7e]*$/;
const anyLine = new RegExp(`^${lineClass}*$`, 'u');
const nameClass = lineClass.replace('\\u0000-\\u001f', '\\u0000-\\u0020');
const code = /^[!-~]*$/;
const bareId = /^[A-Za-z0-9._:-]*$/;
const timePattern =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z$/;
const timeMsPattern = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;
const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const country = /^[A-Z]{2}$/;
const sha256Hex = /^[0-9a-f]{64}$/;
const pointerClass = `^(?:/${lineClass}*)?$`;

export const textRules: Readonly<Record<TextFormat, TextRule>> = {
  line: {
    test: isLine,
    expected: 'text of one line without control characters',
    jsonSchema: { pattern: anyLine.source },
  },
  name: {
    test: (text) => text.charCodeAt(0) !== 0x20 && text.charCodeAt(text.length - 1) !== 0x20 && isLine(text),
    expected: 'text of one line without control characters, or spaces around it',
    jsonSchema: { pattern: `^(?:${nameClass}(?:${lineClass}*${nameClass})?)?$` },
  },
  code: {
    test: (text) => code.test(text),
    expected: 'printable ASCII without spaces',
    jsonSchema: { pattern: code.source },
  },
  'bare-id': {
    test: (text) => bareId.test(text),
    expected: 'a bare id of letters, digits and . _ : - (123, not Patient/123)',
    explain: (text) => (text.includes('/') ? 'a text with a slash' : undefined),
    jsonSchema: { pattern: bareId.source },
  },
  uuidv7: {
    sized: true,
    test: (text) => uuidv7Pattern.test(text),
    expected: 'a UUID of version 7 in lower case (RFC 9562), such as 01890a5d-ac96-774b-bcce-b302099a8057',
    explain: explainUuid,
    jsonSchema: { pattern: uuidv7Pattern.source },
  },
  time: {
    sized: true,
    test: (text) => timePattern.test(text) && dayExists(text),
    expected: 'a time in UTC as of RFC 3339 with at most nine decimals, such as 2026-03-01T08:30:00.250Z',
    explain: explainTime,
    jsonSchema: { pattern: timePattern.source, format: 'date-time' },
  },
  'time-ms': {
    sized: true,
    test: (text) => timeMsPattern.test(text) && dayExists(text),
    expected: 'a time in UTC as of RFC 3339 with milliseconds, such as 2026-03-01T08:30:00.250Z',
    explain: explainTime,
    jsonSchema: { pattern: timeMsPattern.source, format: 'date-time' },
  },
  tenant: {
    test: (text) => tenantPattern.test(text),
    expected: 'a tenant of lower-case letters, digits and hyphens, starting with a letter',
    jsonSchema: { pattern: tenantPattern.source },
  },
  address: {
    sized: true,
    test: (text) => isIpv4(text) || isIpv6(text),
    expected: 'an IPv4 or IPv6 address without port, zone or brackets',
    jsonSchema: { anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] },
  },
  country: {
    sized: true,
    test: (text) => country.test(text),
    expected: 'two capital letters of ISO 3166-1',
    jsonSchema: { pattern: country.source },
  },
  traceparent: {
    sized: true,
    test: (text) => traceparent.test(text),
    expected: 'a traceparent of W3C Trace Context, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    jsonSchema: { pattern: traceparent.source },
  },
  pointer: {
    test: (text) => (text === '' || text.startsWith('/')) && isLine(text),
    expected: 'a JSON Pointer, such as /name/0/family',
    jsonSchema: { pattern: pointerClass },
  },
  'sha256-hex': {
    sized: true,
    test: (text) => sha256Hex.test(text),
    expected: '64 lower-case hex digits',
    jsonSchema: { pattern: sha256Hex.source },
  },
};

function isLine(text: string): boolean {
  return asciiLine.test(text) || anyLine.test(text);
}

const daysOfMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Of a text that matches the pattern: does that day exist? */
function dayExists(text: string): boolean {
  const day = twoDigits(text, 8);
  if (day <= 28) return true;
  const month = twoDigits(text, 5);
  if (month !== 2) return day <= (daysOfMonth[month - 1] as number);
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  return day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function twoDigits(text: string, at: number): number {
  return (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48;
}

function explainTime(text: string): string | undefined {
  if (timePattern.test(text))
    return dayExists(text) ? 'a time with another number of decimals' : 'a day that does not exist';
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,20})?[+-]\d\d:\d\d$/.test(text))
    return 'a time with an offset; convert it to Z';
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return 'a date without a time';
  return undefined;
}

function explainUuid(text: string): string | undefined {
  const match = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i.exec(text);
  if (match === null) return undefined;
  return match[1] === '7' ? 'a UUID in upper case or of another variant' : `a UUID of version ${match[1]}`;
}

/** Four numbers up to 255 without leading zeros, read in one pass. */
function isIpv4(text: string): boolean {
  if (text.length > 15) return false;
  let parts = 1;
  let digits = 0;
  let part = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit === -2) {
      if (digits === 0) return false;
      parts++;
      digits = 0;
      part = 0;
    } else if (digit < 0 || digit > 9 || (digits > 0 && part === 0)) {
      return false;
    } else {
      part = part * 10 + digit;
      digits++;
      if (part > 255) return false;
    }
  }
  return parts === 4 && digits > 0;
}

/** RFC 4291 §2.2, without a zone. */
function isIpv6(text: string): boolean {
  if (text.length > 45 || text.length < 2 || !text.includes(':')) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (let h = 0; h < halves.length; h++) {
    const half = halves[h] as string;
    if (half === '') continue;
    const parts = half.split(':');
    const tail = parts[parts.length - 1] as string;
    if (h === halves.length - 1 && tail.includes('.')) {
      if (!isIpv4(tail)) return false;
      parts.pop();
      groups += 2;
    }
    for (const part of parts) if (!/^[0-9A-Fa-f]{1,4}$/.test(part)) return false;
    groups += parts.length;
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}
