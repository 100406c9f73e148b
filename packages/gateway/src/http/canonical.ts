/**
 * Is this request target canonical? It is taken as it came on the wire, and either has one reading only or is refused. Nothing is normalised:
 * the upstream gets the very bytes that were judged, so no two parties can understand them differently.
 *
 * Case that matters stays: `/fhir/patient` is canonical and finds no route.
 */

export const targetCharsMax = 8_192;
export const parametersMax = 64;
const parameterNameCharsMax = 128;

export type Target =
  | {
      readonly kind: 'canonical';
      /** Starts with `/`, without the query; exactly as sent. */
      readonly path: string;
      /** Between the slashes; never `.` or `..`, and empty only for `//` or a slash at the end. */
      readonly segments: readonly string[];
      /** Without `?`; exactly as sent; undefined when there was none. */
      readonly query: string | undefined;
      readonly parameters: readonly Parameter[];
    }
  /** `reason` is a code from a fixed list; it never holds a part of the target. */
  | { readonly kind: 'refused'; readonly reason: TargetFault };

export interface Parameter {
  /** Decoded: letters, digits and `_ - . : $`. */
  readonly name: string;
  /** As sent, percent-encoding and all. */
  readonly rawValue: string;
}

export type TargetFault =
  | 'target-too-long'
  | 'target-form'
  | 'target-fragment'
  | 'target-backslash'
  | 'target-character'
  | 'target-parameter'
  | 'target-encoding'
  | 'target-dot-segment'
  | 'target-query';

const pathText = /^[A-Za-z0-9\-._~!$&'()*+,=:@%/]*$/;
const queryText = /^[A-Za-z0-9\-._~!$&'()*+,=:@%/?|]*$/;
const unreserved = /^[A-Za-z0-9\-._~]$/;
const parameterName = /^[A-Za-z0-9_.:$-]+$/;

/** Judges the target of a request line (RFC 9112 §3.2): only the origin form has a reading here. */
export function canonicalise(rawTarget: string): Target {
  if (rawTarget.length > targetCharsMax) return refused('target-too-long');
  if (rawTarget[0] !== '/') return refused('target-form');
  if (rawTarget[1] === '/' || rawTarget[1] === '\\') return refused('target-form');
  if (rawTarget.includes('#')) return refused('target-fragment');
  if (rawTarget.includes('\\')) return refused('target-backslash');
  const mark = rawTarget.indexOf('?');
  const path = mark === -1 ? rawTarget : rawTarget.slice(0, mark);
  const query = mark === -1 ? undefined : rawTarget.slice(mark + 1);
  const fault = pathFault(path);
  if (fault !== undefined) return refused(fault);
  const segments = path.slice(1).split('/');
  if (segments.includes('.') || segments.includes('..')) return refused('target-dot-segment');
  const parameters = parseParameters(query ?? '');
  if (typeof parameters === 'string') return refused(parameters);
  return { kind: 'canonical', path, segments, query, parameters };
}

/** The parameters of a query or of a form body; a fault where they have more than one reading. */
export function parseParameters(text: string): readonly Parameter[] | TargetFault {
  if (text === '') return [];
  // A semicolon separates parameters for some servers and not for others.
  if (text.includes(';')) return 'target-parameter';
  if (!queryText.test(text)) return 'target-character';
  if (text.includes('%') && !hasSoundEncoding(text)) return 'target-encoding';
  const parameters: Parameter[] = [];
  for (const part of text.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = (equals === -1 ? part : part.slice(0, equals)).replace(/%3A/gi, ':').replaceAll('%24', '$');
    if (name.length > parameterNameCharsMax || !parameterName.test(name)) return 'target-query';
    // Some frameworks take it for the method of the request.
    if (name.toLowerCase() === '_method') return 'target-query';
    parameters.push({ name, rawValue: equals === -1 ? '' : part.slice(equals + 1) });
    if (parameters.length > parametersMax) return 'target-query';
  }
  return parameters;
}

/** The value of a parameter, or of one inside a scope. */
export function decodeParameter(rawValue: string): string | undefined {
  try {
    return decodeURIComponent(rawValue.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

function refused(reason: TargetFault): Target {
  return { kind: 'refused', reason };
}

function pathFault(path: string): TargetFault | undefined {
  if (path.includes(';')) return 'target-parameter';
  if (!pathText.test(path)) return 'target-character';
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', at + 1)) {
    const hex = path.slice(at + 1, at + 3);
    // Lower-case digits are a second spelling of the same byte (RFC 3986 §6.2.2.1).
    if (!/^[0-9A-F]{2}$/.test(hex)) return 'target-encoding';
    const byte = Number.parseInt(hex, 16);
    const character = String.fromCharCode(byte);
    if (byte < 0x21 || byte === 0x7f || unreserved.test(character) || '/\\%;?#'.includes(character))
      return 'target-encoding';
  }
  return path.includes('%') && !decodes(path) ? 'target-encoding' : undefined;
}

/** In a query either case of hex digits is common and harmless; control characters and broken UTF-8 are not. */
function hasSoundEncoding(text: string): boolean {
  for (let at = text.indexOf('%'); at !== -1; at = text.indexOf('%', at + 1)) {
    const hex = text.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return false;
    const byte = Number.parseInt(hex, 16);
    if (byte < 0x20 || byte === 0x7f) return false;
  }
  return decodes(text);
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
