/** What kind of body a `Content-Type` says it is, and whether its bytes have one reading only. */
import { remembering } from './remembering.ts';

/** Server-sent events: they come as they come, and there is no last one. */
export function isEventStream(contentType: string | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'text/event-stream';
}

export function isJson(contentType: string | undefined): boolean {
  return contentType !== undefined && saysJson(contentType);
}

const saysJson = remembering((contentType) => /^application\/(?:[a-z0-9.+-]+\+)?json *(?:;|$)/i.test(contentType));

export function isNdjson(contentType: string | undefined): boolean {
  return contentType !== undefined && saysNdjson(contentType);
}

const saysNdjson = remembering((contentType) => /^application\/(?:fhir\+)?(?:x-)?ndjson *(?:;|$)/i.test(contentType));

export function isForm(contentType: string | undefined): boolean {
  return /^application\/x-www-form-urlencoded *(?:;|$)/i.test(contentType ?? '');
}

const token = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
const sound = new RegExp(`^${token}/${token}[ \\t]*(?:;[ \\t]*(?:${token}=(?:${token}|"[^"\\\\]*")[ \\t]*)?)*$`);
const charset = /;[ \t]*charset="?([^";]*)/gi;

/**
 * JSON and forms are read as UTF-8 here. Who heeds another `charset` can find other quotes in the same bytes: in GBK a backslash may be the second half of
 * a character.
 */
export function isUtf8(contentType: string | undefined): boolean {
  return contentType === undefined || saysUtf8(contentType);
}

const saysUtf8 = remembering((contentType) => {
  if (!sound.test(contentType)) return false;
  return [...contentType.matchAll(charset)].every(([, name = '']) => /^(?:utf-?8|us-ascii)$/i.test(name.trim()));
});
