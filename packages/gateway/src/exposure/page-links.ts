/**
 * Links to the pages of a search as clients get them: the path of the search, and in one parameter, sealed, what the upstream's own link was and which search it continues. So a link
 * without a type or a parameter in it (`?_getpages=…`) is judged as that search, each time anew; it is good for who got it, for a while; and no value of a parameter stands in it.
 */
import type { Interaction } from '../fhir/fhir-interaction.ts';
import type { Parameter } from '../http/canonical.ts';
import { Seal } from './seal.ts';

/** Not one that any server has, since it would take it for its own where the gateway is left out. */
export const pageParameter = '_sealed-page';

/** With the path it has to fit into the target that the gateway itself takes. */
const linkCharsMax = 6_144;
/** A key's id, and the shortest that a seal can be. */
const looksSealed = /^[A-Za-z0-9_-]{46,}$/;
/** A scope's restriction and an id are shorter. */
const valueCharsMax = 512;

export interface PageLink {
  /** Path and query, at the upstream. */
  readonly target: string;
  /** The one of several origins that gave it. */
  readonly origin: string | undefined;
  /** Who got it. */
  readonly actor: string;
  /** When it ends. */
  readonly untilMs: number;
  /** Those of the search, and those of the upstream's link that have another name. */
  readonly parameters: readonly Parameter[];
}

export class PageLinks {
  readonly #seal: Seal;
  readonly #tenant: string;
  readonly #validMs: number;

  constructor(secret: Uint8Array, options: { readonly tenant: string | undefined; readonly validMs: number }) {
    this.#seal = new Seal(secret, { purpose: 'page', charsMax: linkCharsMax });
    this.#tenant = options.tenant ?? '';
    this.#validMs = options.validMs;
  }

  /** Path and query for the client. Undefined for one that doesn't fit into a URL, whatever is left out. */
  seal(link: Omit<PageLink, 'untilMs'>, of: Interaction, nowMs: number): string | undefined {
    const path = pathOf(of);
    // Whole seconds, so that the links of one answer end together.
    const until = Math.ceil((nowMs + this.#validMs) / 1_000);
    for (const bound of [valueCharsMax, 64, 0]) {
      const parameters = link.parameters.map((parameter) => shortened(parameter, bound));
      const query = parameters.map(({ name, rawValue }) => `${name}=${rawValue}`).join('&');
      const sealed = this.#seal.seal(
        JSON.stringify([link.target, link.actor, until, query, link.origin]),
        this.#context(path),
      );
      if (sealed !== undefined) return `${path}?${pageParameter}=${this.#seal.keyId}${sealed}`;
    }
    return undefined;
  }

  /** Why it can't be opened: it was not sealed here, or for another search; or it names another key, be that true or made up. */
  open(text: string, of: Interaction): PageLink | 'unreadable' | 'of-another-key' {
    const { keyId } = this.#seal;
    if (!text.startsWith(keyId)) return looksSealed.test(text) ? 'of-another-key' : 'unreadable';
    const plain = this.#seal.open(text.slice(keyId.length), this.#context(pathOf(of)));
    if (plain === undefined) return 'unreadable';
    const [target, actor, until, query, origin] = JSON.parse(plain) as [string, string, number, string, string | null];
    const parameters = query === '' ? [] : query.split('&').map(parameterOf);
    return { target, origin: origin ?? undefined, actor, untilMs: until * 1_000, parameters };
  }

  #context(path: string): string {
    return JSON.stringify([this.#tenant, path]);
  }
}

/** Where an interaction is asked for by GET: without the id it would be its template. */
export function pathOf({ route, id, compartment, version }: Interaction): string {
  const filled = route.replace('{id}', id ?? compartment?.id ?? '').replace('{version}', version ?? '');
  return filled.replace(/\/_search$/, '').replace(/\/$/, '') || '/';
}

/**
 * Without a value too long to fit. What decides by it decides against it then: nobody is named by an empty value, and no scope is met. Formats are needed whole, and are short.
 */
function shortened(parameter: Parameter, charsMax: number): Parameter {
  const { name, rawValue } = parameter;
  return rawValue.length <= charsMax || name === '_format' ? parameter : { name, rawValue: '' };
}

function parameterOf(text: string): Parameter {
  const equals = text.indexOf('=');
  return { name: text.slice(0, equals), rawValue: text.slice(equals + 1) };
}
