/**
 * SMART scopes (HL7 SMART App Launch 2.2, v1 and v2) at the issuer: what is asked for, cut down to what is held. Nothing is widened: a scope that is covered
 * stays as it was written, of one that is covered in part the part is given, and what can't be read is not given.
 */

interface Scope {
  readonly context: 'patient' | 'user' | 'system';
  readonly type: string;
  /** In the order of the specification: `cruds`. */
  readonly letters: string;
  /** `category=…`, as it was written. */
  readonly query: string | undefined;
}

const pattern =
  /^(patient|user|system)\/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?([!#-[\]-~]{1,256}))?$/;
const v1Letters: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };
export const scopesMax = 100;

export function isSmartScope(scope: string): boolean {
  return pattern.test(scope);
}

/** Does somebody ask for one patient's record only? */
export function isPatientScope(scope: string): boolean {
  return scope.startsWith('patient/') && isSmartScope(scope);
}

/** What of the scopes that are asked for the held ones cover, without repetition. What `user/` may, `patient/` may for one patient. */
export function narrowScopes(asked: readonly string[], held: readonly string[]): readonly string[] {
  const holding = held.flatMap((scope) => parse(scope) ?? []);
  const granted = asked.slice(0, scopesMax).flatMap((scope) => narrow(scope, holding));
  return [...new Set(granted)];
}

function narrow(scope: string, holding: readonly Scope[]): readonly string[] {
  const wanted = parse(scope);
  if (wanted === undefined) return [];
  const parts = holding.flatMap((one) => common(wanted, one) ?? []);
  // Several roles may have it together.
  const same = parts.filter(({ type, query }) => type === wanted.type && query === wanted.query);
  if (orderedLetters(same.map((part) => part.letters).join('')) === wanted.letters) return [scope];
  const byTarget = new Map<string, Scope>();
  for (const part of parts) {
    const key = `${part.type} ${part.query ?? ''}`;
    const before = byTarget.get(key);
    byTarget.set(key, { ...part, letters: orderedLetters(part.letters + (before?.letters ?? '')) });
  }
  return [...byTarget.values()].map(format);
}

function common(wanted: Scope, held: Scope): Scope | undefined {
  const fits = wanted.context === held.context || (wanted.context === 'patient' && held.context === 'user');
  if (!fits || (wanted.type !== '*' && held.type !== '*' && wanted.type !== held.type)) return undefined;
  if (held.query !== undefined && wanted.query !== undefined && held.query !== wanted.query) return undefined;
  const letters = [...wanted.letters].filter((letter) => held.letters.includes(letter)).join('');
  if (letters === '') return undefined;
  const type = wanted.type === '*' ? held.type : wanted.type;
  return { context: wanted.context, type, letters, query: wanted.query ?? held.query };
}

function orderedLetters(letters: string): string {
  return [...'cruds'].filter((letter) => letters.includes(letter)).join('');
}

function parse(scope: string): Scope | undefined {
  const [, context, type, letters, query] = pattern.exec(scope) ?? [];
  if (context === undefined || type === undefined || letters === undefined) return undefined;
  return { context: context as Scope['context'], type, letters: v1Letters[letters] ?? letters, query };
}

function format({ context, type, letters, query }: Scope): string {
  return `${context}/${type}.${letters}${query === undefined ? '' : `?${query}`}`;
}
