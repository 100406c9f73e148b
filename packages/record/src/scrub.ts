/**
 * Free text reduced to what cannot identify a patient. Allow-lists only: what isn't known to be harmless goes.
 *
 * Each function is idempotent, and returns `undefined` where nothing worth keeping is left.
 */

/** Few different user agents and routes make up nearly all traffic; so many results are remembered. */
const rememberedMax = 512;

/** Remembers results by text, bounded; starts over when full. */
function remembering(scrub: (text: string) => string | undefined): (text: string) => string | undefined {
  const remembered = new Map<string, string | undefined>();
  return (text) => {
    const known = remembered.get(text);
    if (known !== undefined || remembered.has(text)) return known;
    const result = scrub(text);
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(text, result);
    return result;
  };
}

/** Stands where something was taken out. */
export const redacted = '…';

/** Machine codes such as `policy-denied` or `invalid_token`: lower case, no long number. */
const reasonCode = /^[a-z][a-z0-9]*(?:[-_.:][a-z0-9]+)*$/;
const digitRun = /[0-9]{4}/;

// Words that say why something was refused or failed, and nothing about anybody.
const reasonWords: ReadonlySet<string> = new Set(
  `a above absent accept accepted access account action active after again allowed already an and another any are as assurance at attempt
  attempts audience auth authenticated authentication authorisation authorised authorization authorized available back bad batch be because before below
  between blocked body bound break broken bytes by cached call cannot certificate change changed check class client closed code conflict connection
  consent content could credentials current data date deadline declared denied deny department did disabled disk does down duplicate
  each emergency empty encoding end error event exceeded exists expected expired failed failure few field fields file first for forbidden format
  found from full gateway given glass gone grant granted handshake has have header held hold host hours if in inactive include included
  insufficient interaction internal into invalid is issued issuer it items its justification keep key kind known large last later least left length
  less level limit list local lock locked login long lost malformed many match matches matching maximum method mfa minutes missing mode more most must name
  need needed needs network no none not nothing number of off office on one only open operation operator or other out outside over own page parameter
  parse part password path patient patients pending per permission permitted please policy port present process proof protocol purpose query queue quota rate
  read reason received record recorded refused rejected release repeated request requests required requires reset resource response retry
  revoked right rights role roles route rule scope scopes search second seconds secret sent sequence server service session sessions shared signature signed sign
  site size small some space spool start state status still stop stopped storage store strict success supported system tenant terminated than that the their then there this throttled
  time timeout timestamp to token tokens too tool total trailing treatment try type types unable unauthenticated unauthorised unauthorized unavailable unexpected unknown unsafe
  unsupported until unverified up upstream url use used user username valid value verification verified version violation was wait were when window with within without
  working write written wrong yet`.split(/\s+/),
);

/**
 * Why something happened: kept whole where it is a machine code; in a sentence every word that isn't in a list of
 * harmless ones, and every number of four digits and more, becomes `…`.
 */
export function scrubReason(text: string): string | undefined {
  if (text.length <= 64 && reasonCode.test(text) && !digitRun.test(text)) return text;
  const words = text
    .split(' ')
    .filter((word) => word !== '')
    .map(scrubWord);
  if (!words.some((word) => /[a-z]/i.test(word))) return undefined;
  // Neighbours that went leave one mark, not a count of what was there.
  const kept = words.filter((word, i) => word !== redacted || words[i - 1] !== redacted);
  return joinUpTo(kept, ' ', 256);
}

function scrubWord(word: string): string {
  const match = /^([("']?)([A-Za-z]+|[0-9]{1,3})([)"',.;:!?]{0,2})$/.exec(word);
  if (match === null) return redacted;
  const [, before, core, after] = match as unknown as [string, string, string, string];
  if (!/^[0-9]+$/.test(core) && !reasonWords.has(core.toLowerCase())) return redacted;
  return before + core + after;
}

const product = /^([A-Za-z][A-Za-z_-]{0,31})(?:\/([0-9A-Za-z.+-]{1,24}))?$/;
const platforms = ['Windows NT', 'Windows', 'Macintosh', 'iPhone', 'iPad', 'Android', 'CrOS', 'Linux', 'X11'];

/**
 * A user agent's products and versions (RFC 9110 §10.1.5), and of its comments the platform. Everything else in comments
 * goes: that is where addresses and names stand.
 */
export const scrubUserAgent: (text: string) => string | undefined = remembering(cleanUserAgent);

function cleanUserAgent(text: string): string | undefined {
  const products: string[] = [];
  const comments: string[] = [];
  let depth = 0;
  let token = '';
  const flush = (): void => {
    const clean = depth > 0 ? platforms.find((platform) => token.trim().startsWith(platform)) : scrubProduct(token);
    if (clean !== undefined && clean !== '') (depth > 0 ? comments : products).push(clean);
    token = '';
  };
  for (const char of text.slice(0, 512)) {
    if (char === '(') {
      flush();
      depth++;
    } else if (char === ')') {
      flush();
      depth = Math.max(0, depth - 1);
    } else if (depth > 0 ? char === ';' : char === ' ') {
      flush();
    } else {
      token += char;
    }
  }
  flush();
  const platform = [...new Set(comments)].join('; ');
  const [first, ...rest] = products;
  if (first === undefined) return undefined;
  return joinUpTo([first, ...(platform === '' ? [] : [`(${platform})`]), ...rest], ' ', 256);
}

function scrubProduct(token: string): string | undefined {
  const match = product.exec(token);
  if (match === null) return undefined;
  const [, name, version] = match as unknown as [string, string, string | undefined];
  return version === undefined || /[0-9]{6}|[A-Za-z]{5}/.test(version) ? name : `${name}/${version}`;
}

const routeSegment =
  /^(?:\{[A-Za-z_][A-Za-z0-9_]{0,39}\}|:[A-Za-z_][A-Za-z0-9_]{0,39}|\*{1,2}|[$_]?[A-Za-z][A-Za-z_.-]{0,39}|[A-Za-z]{1,12}[0-9]{1,2})$/;

/** A route template: segments that look like values become `{id}`; what follows `?` or `#` goes. */
export const scrubRoute: (text: string) => string | undefined = remembering(cleanRoute);

function cleanRoute(text: string): string | undefined {
  const path = text.split(/[?#]/, 1)[0] as string;
  const segments = path.split('/');
  const clean = segments.map((segment) => (segment === '' || routeSegment.test(segment) ? segment : '{id}'));
  return path === '' ? undefined : joinUpTo(clean, '/', 256);
}

/** Names of query parameters: those that look like values become `{value}`. */
export function scrubQueryName(name: string): string {
  return /^[A-Za-z_$][A-Za-z0-9_.:$[\]-]{0,63}$/.test(name) && !digitRun.test(name) ? name : '{value}';
}

/** A reference or device code without spaces; a sentence or a person's name for their phone goes. */
export function scrubReference(text: string): string | undefined {
  return text.length <= 128 && /^[A-Za-z0-9._:/#|+=@-]+$/.test(text) ? text : undefined;
}

/** Paths of fields, such as `Patient.name[0].family`: others go. */
export function scrubField(text: string): string | undefined {
  return /^[A-Za-z_$@][A-Za-z0-9_.:[\]$@-]{0,127}$/.test(text) && !digitRun.test(text) ? text : undefined;
}

/** A JSON Pointer: segments that look like values become `{key}`. */
export function scrubPointer(path: string): string {
  return joinUpTo(path.split('/').map(scrubSegment), '/', 512);
}

function scrubSegment(segment: string): string {
  if (segment === '' || segment === '-' || segment === '{key}' || /^[0-9]{1,3}$/.test(segment)) return segment;
  return scrubField(segment) ?? '{key}';
}

/** As many whole parts as fit: half a part could look like something else the next time. */
function joinUpTo(parts: readonly string[], separator: string, charsMax: number): string {
  let out = parts[0] ?? '';
  for (const part of parts.slice(1)) {
    if (out.length + separator.length + part.length > charsMax) break;
    out += separator + part;
  }
  return out;
}
