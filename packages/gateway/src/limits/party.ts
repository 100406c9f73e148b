/**
 * Whom a lock-out is about, as the key it is counted under. A client that acts for itself is one party; a person is one in each client: what one of those who
 * share a client does must not shut it out for all of them.
 */

export type Party =
  | { readonly by: 'address'; readonly around: string }
  | { readonly by: 'client'; readonly issuer: string; readonly client: string }
  /** `client` is empty for a token that names none. */
  | { readonly by: 'person'; readonly issuer: string; readonly client: string; readonly id: string };

/** None of the parts has a line end: they come from addresses and verified tokens. */
const separator = '\n';

/** Who holds a token that names itself as its client is that client (RFC 9068 §2.2). */
export function callerOf({
  issuer,
  client = '',
  id,
}: {
  readonly issuer: string;
  readonly client?: string | undefined;
  readonly id: string;
}): Party {
  return client === id ? { by: 'client', issuer, client } : { by: 'person', issuer, client, id };
}

export function keyOf(party: Party): string {
  switch (party.by) {
    case 'address':
      return ['address', party.around].join(separator);
    case 'client':
      return ['client', party.issuer, party.client].join(separator);
    case 'person':
      return ['person', party.issuer, party.client, party.id].join(separator);
    default:
      return party satisfies never;
  }
}

/** The other way round, for a key that `keyOf` made. */
export function partyOf(key: string): Party {
  const [by, issuer = '', client = '', id = ''] = key.split(separator);
  if (by === 'client') return { by, issuer, client };
  return by === 'person' ? { by, issuer, client, id } : { by: 'address', around: issuer };
}
