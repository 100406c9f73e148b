/**
 * Every state is a URL, and no identifier of a patient leaves the browser in one. Search members that may hold PHI are
 * written into the fragment (`/explorer?kind=api#patient=123`), which browsers never send to a server, put into a Referer
 * or pass to the identity provider. The rest of the console sees one set of search members.
 */

/** Members that live in the fragment. */
export const privateMembers: ReadonlySet<string> = new Set(['patient', 'resource', 'q']);

/** Moves private members from the search of a path into its fragment. */
export function hidePrivate(href: string): string {
  const [path, search] = cut(href.split('#', 1)[0] ?? '', '?');
  const open = new URLSearchParams();
  const hidden = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(search))
    (privateMembers.has(name) ? hidden : open).append(name, value);
  return `${path}${prefixed('?', open)}${prefixed('#', hidden)}`;
}

/** The other way: a path with all members in its search. A private member given in the search is accepted too. */
export function showPrivate(href: string): string {
  const [rest, fragment] = cut(href, '#');
  const [path, search] = cut(rest, '?');
  const all = new URLSearchParams(search);
  for (const [name, value] of new URLSearchParams(fragment)) if (privateMembers.has(name)) all.set(name, value);
  return `${path}${prefixed('?', all)}`;
}

function cut(text: string, at: string): [string, string] {
  const position = text.indexOf(at);
  return position < 0 ? [text, ''] : [text.slice(0, position), text.slice(position + 1)];
}

function prefixed(sign: string, members: URLSearchParams): string {
  const written = members.toString();
  return written === '' ? '' : sign + written;
}
