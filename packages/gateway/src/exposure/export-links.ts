/**
 * Links of a bulk export as clients get them: `/fhir/_export/…`, sealed, so that only what this upstream handed out to this person can be asked for, and nobody reads from them where
 * it lies. The same link always seals to the same text. They end when the upstream's own do.
 */
import { type Interaction, permission, type Recognition } from '../fhir/fhir-interaction.ts';
import { Seal } from './seal.ts';

export const exportSegment = '_export';
const linkCharsMax = 4_096;

export interface ExportLink {
  readonly kind: 'status' | 'file';
  /** Absolute. */
  readonly url: string;
  /** Whose export it is. */
  readonly actor: string;
  /** Of the kick-off: `Patient`, `Group`, or none for the whole system. */
  readonly type: string | undefined;
}

/** An interaction with a link. */
export interface ExportInteraction extends Interaction {
  readonly link: ExportLink;
}

export function isExportLink(interaction: Interaction): interaction is ExportInteraction {
  return 'link' in interaction;
}

export class ExportLinks {
  readonly #seal: Seal;
  readonly #origins: ReadonlySet<string>;

  /** `origins`: of the upstream, and of where its files may lie. */
  constructor(secret: Uint8Array, origins: Iterable<string>) {
    this.#seal = new Seal(secret, { purpose: 'export', charsMax: linkCharsMax });
    this.#origins = new Set(origins);
  }

  /** Undefined for a link that leads elsewhere than the upstream and its files may lie, or is none. */
  seal(link: ExportLink, base: string): string | undefined {
    const url = URL.parse(link.url, base);
    if (url === null || !this.#origins.has(url.origin) || url.username !== '' || url.password !== '') return undefined;
    url.hash = '';
    return this.#seal.seal(JSON.stringify([link.kind, url.href, link.actor, link.type ?? null]));
  }

  /** Undefined for what was not sealed here. */
  open(text: string): ExportLink | undefined {
    const plain = this.#seal.open(text);
    if (plain === undefined) return undefined;
    const [kind, url, actor, type] = JSON.parse(plain) as [ExportLink['kind'], string, string, string | null];
    return this.#origins.has(new URL(url).origin) ? { kind, url, actor, type: type ?? undefined } : undefined;
  }

  /** What a request for `/_export/{text}` is. Policies judge it as `$export`. */
  recognise(method: string, prefix: string, text: string): Recognition {
    const link = this.open(text);
    if (link === undefined) return { kind: 'no-route' };
    const status = link.kind === 'status';
    const cancel = status && method === 'DELETE';
    if (!cancel && method !== 'GET' && method !== 'HEAD')
      return { kind: 'method-not-allowed', allow: status ? 'GET, HEAD, DELETE' : 'GET, HEAD' };
    const interaction: ExportInteraction = {
      link,
      name: 'operation',
      operation: cancel ? 'export-cancel' : status ? 'export-status' : 'export-file',
      action: cancel ? 'delete' : status ? 'execute' : 'read',
      type: link.type,
      id: undefined,
      version: undefined,
      compartment: undefined,
      route: `${prefix}/${exportSegment}/{link}`,
      permissions: permission.r | permission.s,
      safe: !cancel,
      form: false,
    };
    return { kind: 'interaction', interaction };
  }
}
