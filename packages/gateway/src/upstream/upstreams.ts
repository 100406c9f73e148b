/** Which API a request goes to: the one its route names, and for the link of an export the one that the link leads to. */
import { type ExportLinks, isExportLink } from '../exposure/export-links.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import type { Upstream } from './upstream.ts';

export interface UpstreamRoute {
  readonly prefix: string;
  readonly upstream?: string | undefined;
}

export class Upstreams {
  readonly all: readonly Upstream[];
  /** Of all of them together. */
  readonly exportLinks: ExportLinks;
  readonly #first: Upstream;
  /** The longest prefix first. */
  readonly #byPrefix: readonly { readonly prefix: string; readonly upstream: Upstream }[];

  /** `first` is what a route goes to that names none. */
  constructor(options: {
    readonly first: Upstream;
    readonly others: readonly Upstream[];
    /** The longest prefix first. */
    readonly routes: readonly UpstreamRoute[];
    readonly exportLinks: ExportLinks;
  }) {
    const { first, others, routes } = options;
    this.#first = first;
    this.all = [first, ...others];
    this.exportLinks = options.exportLinks;
    const named = new Map(others.map((upstream) => [upstream.name, upstream]));
    this.#byPrefix =
      others.length === 0
        ? []
        : routes.map(({ prefix, upstream = '' }) => ({ prefix, upstream: named.get(upstream) ?? first }));
  }

  /** `origin` is set where it has to be that one. */
  of(interaction: Interaction): { readonly upstream: Upstream; readonly origin?: string } {
    const upstream = this.#at(interaction.route);
    if (!isExportLink(interaction)) return { upstream };
    const { origin } = new URL(interaction.link.url);
    const leadsTo = [upstream, ...this.all].find(({ origins }) => origins.includes(origin));
    return leadsTo === undefined ? { upstream } : { upstream: leadsTo, origin };
  }

  /** None of them may be asked now. */
  get allDown(): boolean {
    return this.all.every(({ available }) => !available);
  }

  #at(route: string): Upstream {
    const found = this.#byPrefix.find(({ prefix }) => route === prefix || route.startsWith(`${prefix}/`));
    return found?.upstream ?? this.#first;
  }
}
