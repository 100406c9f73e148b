/**
 * The parts of `watchglass.yaml` about the embedded issuer's applications: `issuer.clients`, those that sign people in beside the console and those that work or hear by
 * themselves, and the FHIR base that they are launched for.
 */
import { z } from 'zod';
import { watchglassScope } from '../issuer/claims.ts';
import { isSmartScope } from '../issuer/smart-scopes.ts';

export interface IssuerClientSettings {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly secretFile?: string;
  readonly jwksFile?: string;
  readonly refresh: boolean;
  readonly dpop: boolean;
  readonly scopes?: readonly string[];
  readonly roles: readonly string[];
  readonly ehr: boolean;
  readonly postLogoutRedirectUris: readonly string[];
  readonly logoutUri?: string;
  readonly logoutOfAll: boolean;
}

export const issuerClientsWords: string =
  'Applications at the embedded issuer, a list of `id`, `name`, `redirectUris`, `secretFile` or `jwksFile`, `refresh`, `dpop`, `scopes`, `roles`, `ehr`, `postLogoutRedirectUris`, `logoutUri`, `logoutOfAll` (docs/identity.md).';

type Optional<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]?: T[P] | undefined };
type IssuerClientKeys = Optional<IssuerClientSettings, 'secretFile' | 'jwksFile' | 'scopes' | 'logoutUri'>;

/** Those that the server makes itself. */
const takenIds: readonly string[] = ['console', 'demo-cli', 'account', 'watchglass-issuer'];
const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
const safeUrl = z
  .url()
  .refine((text) => isSafe(text), { error: 'expected an https URL; plain http only to this machine' });
const uris = z.array(z.url()).max(16).default([]);

export const issuerClientsSchema: z.ZodType<readonly IssuerClientKeys[]> = z
  .array(
    z
      .strictObject({
        id: z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected 1 to 64 of A-Z a-z 0-9 . _ -')
          .refine((id) => !takenIds.includes(id), { error: `expected another id than ${takenIds.join(', ')}` }),
        name: z.string().min(1).max(64),
        redirectUris: uris,
        secretFile: z.string().min(1).optional(),
        jwksFile: z.string().min(1).optional(),
        refresh: z.boolean().default(false),
        dpop: z.boolean().default(false),
        scopes: z
          .array(
            z.string().refine((scope) => scope === watchglassScope || isSmartScope(scope), {
              error: 'expected a SMART scope such as user/*.rs or system/Patient.rs, or watchglass',
            }),
          )
          .min(1)
          .max(64)
          .optional(),
        roles: z
          .array(z.string().regex(/^[a-z][a-z0-9-]{0,39}$/))
          .max(16)
          .default([]),
        ehr: z.boolean().default(false),
        postLogoutRedirectUris: uris,
        logoutUri: safeUrl.optional(),
        logoutOfAll: z.boolean().default(false),
      })
      .refine(({ secretFile, jwksFile }) => secretFile === undefined || jwksFile === undefined, {
        error: 'expected secretFile or jwksFile, got both; remove one',
      })
      .refine((client) => !isService(client) || client.secretFile !== undefined || client.jwksFile !== undefined, {
        error:
          'expected secretFile or jwksFile: a client with system/ scopes, or one that launches applications, has to prove who it is',
      })
      .refine((client) => client.redirectUris.length > 0 || isService(client) || client.logoutUri !== undefined, {
        error: 'expected redirectUris, or what it does without: system/ scopes, ehr, or logoutUri',
      }),
  )
  .max(100)
  .refine((clients) => new Set(clients.map(({ id }) => id)).size === clients.length, {
    error: 'expected each id once',
  });

export const fhirUrlSchema: z.ZodOptional<z.ZodURL> = safeUrl
  .optional()
  .describe(
    'FHIR base of the gateway, as applications reach it: what SMART applications are launched for (docs/identity.md).',
  );

export const issuerCaSchema: z.ZodOptional<z.ZodString> = z
  .string()
  .min(1)
  .optional()
  .describe(
    'PEM file of the authorities to trust, instead of the system’s, when the embedded issuer calls the gateway or tells of logouts.',
  );

function isService({ scopes, ehr }: Pick<IssuerClientKeys, 'scopes' | 'ehr'>): boolean {
  return ehr || scopes?.some((scope) => scope.startsWith('system/')) === true;
}

function isSafe(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.hash !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopback.test(url.hostname));
}

/** What of the embedded issuer is about its applications. */
export interface EmbeddedSettings {
  readonly clients?: readonly IssuerClientSettings[];
  readonly fhirUrl?: string;
  readonly caFile?: string;
}

export function buildEmbedded(
  issuer: {
    readonly clients?: readonly IssuerClientKeys[] | undefined;
    readonly fhirUrl?: string | undefined;
    readonly ca?: string | undefined;
  },
  at: (path: string) => string,
): EmbeddedSettings {
  const { clients, fhirUrl, ca } = issuer;
  return {
    ...(clients === undefined ? {} : { clients: buildClients(clients, at) }),
    ...(fhirUrl === undefined ? {} : { fhirUrl: fhirUrl.replace(/\/$/, '') }),
    ...(ca === undefined ? {} : { caFile: at(ca) }),
  };
}

function buildClients(
  clients: readonly IssuerClientKeys[],
  at: (path: string) => string,
): readonly IssuerClientSettings[] {
  return clients.map(({ secretFile, jwksFile, scopes, logoutUri, ...client }) => ({
    ...client,
    ...(secretFile === undefined ? {} : { secretFile: at(secretFile) }),
    ...(jwksFile === undefined ? {} : { jwksFile: at(jwksFile) }),
    ...(scopes === undefined ? {} : { scopes }),
    ...(logoutUri === undefined ? {} : { logoutUri }),
  }));
}
