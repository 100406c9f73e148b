/**
 * The search box: `name:value` sets a filter, quotes hold spaces together, and what remains is free text.
 */
import { type FilterName, type Filters, filterNames } from './explorer-state.ts';

/** `patient:123 outcome:denied dana` → filters. A later value of one name wins. */
export function parseSearchBox(text: string): Filters {
  const filters: { -readonly [K in FilterName]?: string } = {};
  const free: string[] = [];
  for (const [, name, quotedValue, value, quoted, word] of text.matchAll(
    /(\w+):(?:"([^"]*)"|(\S+))|"([^"]*)"|(\S+)/g,
  )) {
    const filter = filterNames.find((known) => known === name && known !== 'q');
    const given = quotedValue ?? value;
    if (filter && given) filters[filter] = given;
    else if (name !== undefined) free.push(`${name}:${given ?? ''}`);
    else free.push(quoted ?? word ?? '');
  }
  const q = free.filter(Boolean).join(' ');
  return q === '' ? filters : { ...filters, q };
}
