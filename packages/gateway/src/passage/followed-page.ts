/** A request for a page of a search, by a link that the gateway made: whose it is, how long it is good for, and which search it continues. */
import { isMapped } from '../exposure/json-map.ts';
import { type PageLink, type PageLinks, pageParameter } from '../exposure/page-links.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import type { Parameter } from '../http/canonical.ts';
import { wantsJson } from '../http/headers.ts';
import { isExport } from './export.ts';
import type { KnownRequest } from './limiting.ts';
import { denied } from './refused.ts';

/** Clients add these to whatever link they follow; a page is what it was made as. */
const addedByClients: ReadonlySet<string> = new Set(['_count', '_format', '_pretty']);

/** Undefined where no page is asked for. Throws `Refused`. */
export function followedPage(facts: KnownRequest, pageLinks: PageLinks): PageLink | undefined {
  const { interaction, parameters, captured, actor } = facts;
  const sealed = parameters.find(isPageParameter);
  if (sealed === undefined || isMapped(interaction)) return undefined;
  const reads = captured.method === 'GET' || captured.method === 'HEAD';
  const alone = parameters.every(
    (parameter) => parameter === sealed || (addedByClients.has(parameter.name) && wantsJson(parameter)),
  );
  const link = reads && alone && hasPages(interaction) ? pageLinks.open(sealed.rawValue, interaction) : 'unreadable';
  if (link === 'unreadable') throw denied(facts, 'page-refused', 'page-unreadable');
  if (link === 'of-another-key') throw denied(facts, 'page-of-another-key', 'page-of-another-key');
  // A link is for whom it was made.
  if (link.actor !== actor.id) throw denied(facts, 'page-refused', 'page-of-another');
  if (link.untilMs <= captured.timeMs) throw denied(facts, 'page-expired', 'page-expired');
  return link;
}

/** Its answer is a Bundle that may go on elsewhere. */
export function hasPages(interaction: Interaction): boolean {
  const { name, safe } = interaction;
  return name === 'search' || name === 'history' || (name === 'operation' && safe && !isExport(interaction));
}

/** Whoever doesn't heed case would take it in any. */
export function isPageParameter({ name }: Parameter): boolean {
  return name.toLowerCase() === pageParameter;
}
