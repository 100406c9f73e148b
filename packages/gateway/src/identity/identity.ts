/**
 * The room's front: builds everything that says who is calling from the configuration, and takes it down again. Others see the authenticator, the end of
 * sessions, and what there is to watch. What it remembers it is given (memory.ts).
 */
import { Agent } from 'undici';

import { BackChannelLogout } from './back-channel-logout.ts';
import { ProofChecker } from './dpop.ts';
import { type ClientAuthentication, Introspection } from './introspection.ts';
import { IssuerKeys, type KeysState } from './issuer-keys.ts';
import type { IdentityMemory } from './memory.ts';
import { SmartDiscovery, type SmartSettings } from './smart-discovery.ts';
import { Authenticator, type TrustedIssuer } from './token.ts';

export interface IssuerSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly jwksUri?: string | undefined;
  readonly tokenType: string;
  readonly rolesClaim: string;
  readonly scopes?: string | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly actorPrefix?: string | undefined;
  /** Its opaque tokens are asked about. */
  readonly introspection?: IntrospectionSettings | undefined;
  /** The client as which the gateway hears of its logouts. */
  readonly logoutClientId?: string | undefined;
}

export interface IntrospectionSettings {
  readonly endpoint: string;
  readonly client: ClientAuthentication;
  readonly tokenPrefix: string;
  readonly jwtToo: boolean;
  readonly requireAudience: boolean;
  readonly timeoutMs: number;
}

export interface IdentitySettings {
  readonly dpop: { readonly nonce: boolean; readonly proofsMax: number };
  readonly revocation: { readonly keepMs: number };
  /** Where on the listener the issuers post their logout tokens. */
  readonly logoutPath?: string | undefined;
}

/** What becomes of an issuer's keys, for the record and the log. */
export type IssuerNews = 'issuer-keys-stale' | 'issuer-keys-gone' | 'issuer-keys-fresh';

export interface Identity extends AsyncDisposable {
  readonly authenticator: Authenticator;
  readonly logout: BackChannelLogout | undefined;
  /** For SMART applications; undefined where it isn't said at which issuer they sign people in. */
  readonly smart: SmartDiscovery | undefined;
  keysState(): Readonly<Record<KeysState, number>>;
  /** True once the keys of every issuer that needs them are there. */
  isReady(): Promise<boolean>;
}

export async function openIdentity(options: {
  readonly issuers: readonly IssuerSettings[];
  readonly smart: SmartSettings | undefined;
  readonly settings: IdentitySettings;
  readonly tenant: string | undefined;
  readonly memory: IdentityMemory;
  readonly onIssuerNews: (issuer: string, news: IssuerNews) => void;
  readonly onIntrospectionProblem: (issuer: string, problem: string) => void;
  /** The clock by which keys age, in milliseconds; for tests. */
  readonly now?: () => number;
}): Promise<Identity> {
  await using stack = new AsyncDisposableStack();
  const { settings, tenant } = options;
  const { proofs, logouts, revocations, firstUses, together } = options.memory;
  const dispatcher = stack.adopt(new Agent({ connections: 16, allowH2: false }), (agent) => agent.destroy());
  const issuers = options.issuers.map((issuer) => trust(issuer, { ...options, dispatcher }));
  const { nonce } = settings.dpop;
  const authenticator = new Authenticator({
    issuers,
    ...(tenant === undefined ? {} : { tenant }),
    proofs: new ProofChecker({ store: proofs, nonce, together }),
    revocations,
    firstUses,
  });
  const loggingOut = options.issuers.flatMap(({ logoutClientId: clientId }, position) => {
    const trusted = issuers[position];
    return clientId === undefined || trusted === undefined ? [] : [{ ...trusted, clientId }];
  });
  // Who only answers questions about its tokens may have no keys at all.
  const needed = issuers.filter(({ opaque }) => opaque?.jwtToo !== true);
  const resources = stack.move();
  return {
    authenticator,
    logout:
      loggingOut.length === 0 ? undefined : new BackChannelLogout({ issuers: loggingOut, revocations, seen: logouts }),
    smart: options.smart === undefined ? undefined : new SmartDiscovery(options.smart, { dispatcher }),
    keysState() {
      const counts = { fresh: 0, stale: 0, gone: 0 };
      for (const { keys } of issuers) counts[keys.state] += 1;
      return counts;
    },
    async isReady() {
      return (await Promise.all(needed.map(({ keys }) => keys.prepare()))).every(Boolean);
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function trust(
  { jwksUri, introspection, ...issuer }: IssuerSettings,
  parts: {
    readonly issuers: readonly IssuerSettings[];
    readonly dispatcher: Agent;
    readonly now?: () => number;
    readonly onIssuerNews: (issuer: string, news: IssuerNews) => void;
    readonly onIntrospectionProblem: (issuer: string, problem: string) => void;
  },
): TrustedIssuer {
  const { dispatcher, onIssuerNews, onIntrospectionProblem } = parts;
  const tell = (news: IssuerNews) => (): void => onIssuerNews(issuer.issuer, news);
  const keys = new IssuerKeys({
    issuer: issuer.issuer,
    ...(jwksUri === undefined ? {} : { jwksUri }),
    dispatcher,
    ...(parts.now === undefined ? {} : { now: parts.now }),
    onStale: tell('issuer-keys-stale'),
    onGone: tell('issuer-keys-gone'),
    onFresh: tell('issuer-keys-fresh'),
  });
  const otherPrefixes = parts.issuers.flatMap(({ actorPrefix }) => (actorPrefix === undefined ? [] : [actorPrefix]));
  if (introspection === undefined) return { ...issuer, otherPrefixes, keys };
  const { tokenPrefix, jwtToo, ...how } = introspection;
  const asking = new Introspection({
    ...how,
    issuer: issuer.issuer,
    audience: issuer.audience,
    dispatcher,
    onProblem: (problem) => onIntrospectionProblem(issuer.issuer, problem),
  });
  return { ...issuer, otherPrefixes, keys, opaque: { introspection: asking, tokenPrefix, jwtToo } };
}
