/**
 * What an application has to know to sign people in before this API (SMART App Launch 2.2, `.well-known/smart-configuration`): the endpoints of the issuer, as its own metadata
 * (OpenID Connect Discovery 1.0, RFC 8414) has them, and what is supported here.
 *
 * Nothing is made up: what the issuer doesn't say is not there, what is no safe address is left out, and `plain` is never passed on. Its last words are kept for a day while it
 * doesn't answer.
 */
import type { Dispatcher } from 'undici';

import { askJson } from './bounded-json.ts';
import { isSafeUrl } from './issuer-keys.ts';

export interface SmartSettings {
  /** The issuer at which applications sign people in. */
  readonly issuer: string;
  /** What is supported, where the issuer doesn't say it in its metadata. */
  readonly capabilities: readonly string[] | undefined;
}

/** How long what was said is given out without asking again. */
export const smartFreshSeconds = 300;
const staleMs = 24 * 3_600_000;
const retryMs = 5_000;
const timeoutMs = 3_000;
const answerBytesMax = 64 * 1024;
const listMax = 200;

const endpoints = [
  'jwks_uri',
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'management_endpoint',
  'introspection_endpoint',
  'revocation_endpoint',
] as const;
const lists = [
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported',
  'scopes_supported',
  'response_types_supported',
  'grant_types_supported',
] as const;

type Document = Readonly<Record<string, unknown>>;

export class SmartDiscovery {
  readonly #settings: SmartSettings;
  readonly #dispatcher: Dispatcher;
  readonly #now: () => number;
  #last: { readonly document: Document; readonly atMs: number } | undefined;
  #asking: Promise<void> | undefined;
  #triedMs = Number.NEGATIVE_INFINITY;

  constructor(settings: SmartSettings, parts: { readonly dispatcher: Dispatcher; readonly now?: () => number }) {
    this.#settings = settings;
    this.#dispatcher = parts.dispatcher;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** Undefined while the issuer can't be asked, and hasn't been for a day. */
  async document(): Promise<Document | undefined> {
    const isFresh = this.#ageMs() < smartFreshSeconds * 1_000;
    if (!isFresh && (this.#asking !== undefined || this.#now() - this.#triedMs >= retryMs)) {
      // Many at once ask once.
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
      await this.#asking;
    }
    return this.#ageMs() < staleMs ? this.#last?.document : undefined;
  }

  #ageMs(): number {
    return this.#last === undefined ? Number.POSITIVE_INFINITY : this.#now() - this.#last.atMs;
  }

  async #ask(): Promise<void> {
    const { issuer, capabilities } = this.#settings;
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    this.#triedMs = this.#now();
    try {
      const { status, json } = await askJson(url, { dispatcher: this.#dispatcher, timeoutMs, answerBytesMax });
      const document = status === 200 ? smartConfigurationOf(json, { issuer, capabilities }) : undefined;
      if (document !== undefined) this.#last = { document, atMs: this.#now() };
    } catch {
      // What was said last stays.
    }
  }
}

/** Undefined where the metadata is of another issuer, or lacks what an application can't do without. */
export function smartConfigurationOf(metadata: unknown, { issuer, capabilities }: SmartSettings): Document | undefined {
  if (typeof metadata !== 'object' || metadata === null) return undefined;
  const said = metadata as Document;
  if (said.issuer !== issuer) return undefined;
  const places = endpoints.flatMap((name) => {
    const place = said[name];
    return typeof place === 'string' && isSafeUrl(place) ? [[name, place] as const] : [];
  });
  const sets = lists.flatMap((name) => {
    const values = stringsOf(said[name]);
    return values === undefined ? [] : [[name, values] as const];
  });
  const document: Record<string, unknown> = { issuer, ...Object.fromEntries([...places, ...sets]) };
  const methods = stringsOf(said.code_challenge_methods_supported) ?? [];
  // Without S256 no application may go there, and none should hear that it could.
  if (!methods.includes('S256') || document.token_endpoint === undefined) return undefined;
  document.code_challenge_methods_supported = methods.filter((method) => method !== 'plain');
  document.grant_types_supported ??= ['authorization_code'];
  document.capabilities = capabilities ?? stringsOf(said.capabilities) ?? capabilitiesOf(document);
  return document;
}

/** Of an issuer that knows nothing of SMART: what follows from its metadata, and what the gateway itself does with scopes. */
function capabilitiesOf(document: Document): readonly string[] {
  const has = (name: string, value: string): boolean => (stringsOf(document[name]) ?? []).includes(value);
  const methods = 'token_endpoint_auth_methods_supported';
  const scopes = 'scopes_supported';
  const isSymmetric = ['client_secret_basic', 'client_secret_post'].some((method) => has(methods, method));
  const found: readonly (readonly [string, boolean])[] = [
    ['client-public', has(methods, 'none')],
    ['client-confidential-symmetric', isSymmetric],
    ['client-confidential-asymmetric', has(methods, 'private_key_jwt')],
    ['sso-openid-connect', document.jwks_uri !== undefined && has(scopes, 'openid')],
    ['launch-standalone', has(scopes, 'launch/patient')],
    ['context-standalone-patient', has(scopes, 'launch/patient')],
    ['launch-ehr', has(scopes, 'launch')],
    ['permission-offline', has(scopes, 'offline_access')],
    ['permission-online', has(scopes, 'online_access')],
    ['permission-patient', true],
    ['permission-user', true],
    ['permission-v1', true],
    ['permission-v2', true],
  ];
  return found.flatMap(([name, isSo]) => (isSo ? [name] : []));
}

function stringsOf(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter((one): one is string => typeof one === 'string' && one.length <= 256).slice(0, listMax);
}
