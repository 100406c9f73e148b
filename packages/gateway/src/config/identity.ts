/**
 * The sections of `gateway.yaml` that say who is calling: `issuers` and `identity`. Files with secrets and keys are read here; what several issuers would mix
 * up is refused here.
 */
import { createPrivateKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';

import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { parseScope } from '../fhir/scope.ts';
import type { IdentitySettings, IntrospectionSettings, IssuerSettings } from '../identity/identity.ts';
import type { ClientAuthentication } from '../identity/introspection.ts';
import { safeUrl } from './address.ts';

const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** As it stands in the file. */
export interface IntrospectionSection {
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecretFile?: string | undefined;
  readonly clientKeyFile?: string | undefined;
  readonly tokenPrefix: string;
  readonly jwt: boolean;
  readonly requireAudience: boolean;
  readonly timeoutMs: number;
}

export interface IssuerSection extends Omit<IssuerSettings, 'introspection'> {
  readonly introspection?: IntrospectionSection | undefined;
}

const introspectionSchema: z.ZodType<IntrospectionSection> = z.strictObject({
  endpoint: safeUrl,
  clientId: z.string().min(1).max(256),
  clientSecretFile: z.string().optional(),
  clientKeyFile: z.string().optional(),
  tokenPrefix: z.string().max(64).default(''),
  jwt: z.boolean().default(false),
  requireAudience: z.boolean().default(true),
  timeoutMs: z.int().min(1).max(30_000).default(2_000),
});

const prefixPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}[:/|]$/;

const issuerSchema: z.ZodType<IssuerSection> = z.strictObject({
  issuer: safeUrl,
  audience: z.string().min(1),
  algorithms: z.array(z.enum(algorithms)).min(1).default(['RS256', 'ES256', 'EdDSA']),
  jwksUri: safeUrl.optional(),
  tokenType: z.string().min(1).default('at+jwt'),
  rolesClaim: z.string().min(1).default('roles'),
  scopes: z
    .string()
    .max(8_192)
    .refine((text) => text.split(' ').every((scope) => parseScope(scope) !== undefined), {
      error: 'expected SMART scopes separated by spaces, such as user/*.cruds',
    })
    .optional(),
  roles: z.array(z.string().min(1)).optional(),
  actorPrefix: z
    .string()
    .regex(prefixPattern, { error: 'expected letters and digits, and : / or | at the end' })
    .refine((prefix) => prefix !== 'gateway:', { error: 'expected another one: gateway: is the gateway itself' })
    .optional(),
  introspection: introspectionSchema.optional(),
  logoutClientId: z.string().min(1).max(256).optional(),
});

export const issuersSchema: z.ZodType<readonly IssuerSection[]> = z
  .array(issuerSchema)
  .min(1, { error: 'expected at least one issuer: nobody could sign in' })
  .refine((list) => isDistinct(list.map(({ issuer }) => issuer)), { error: 'expected each issuer once' })
  .refine((list) => isDistinct(list.map(({ actorPrefix }) => actorPrefix ?? '')), {
    error: 'expected an actorPrefix of its own for every issuer but one: the same sub of two issuers is two people',
  })
  .refine(
    (list) => isDistinct(list.flatMap(({ introspection }) => (introspection ? [introspection.tokenPrefix] : []))),
    { error: 'expected a tokenPrefix of its own for every introspection but one: nobody is told the tokens of others' },
  );

export const identitySchema: z.ZodType<IdentitySettings> = z
  .strictObject({
    dpop: z
      .strictObject({
        nonce: z.boolean().default(false),
        proofsMax: z.int().min(100).max(5_000_000).default(200_000),
      })
      .prefault({}),
    revocation: z
      .strictObject({
        keepMs: z
          .int()
          .min(60_000)
          .max(400 * 86_400_000)
          .default(7 * 86_400_000),
      })
      .prefault({}),
    logoutPath: z
      .string()
      .regex(/^(?:\/[A-Za-z0-9._-]+)+$/, { error: 'expected a path such as /backchannel-logout' })
      .optional(),
  })
  .prefault({});

/** How the files of a configuration are reached: relative to it, and never without a word on what was missing. */
export interface ConfigFiles {
  readonly file: string;
  /** The path that is meant. */
  readonly from: (name: string) => string;
  readonly read: (name: string, what: string) => string;
}

export function readIssuers(issuers: readonly IssuerSection[], files: ConfigFiles): readonly IssuerSettings[] {
  return issuers.map(({ introspection, ...issuer }) => ({
    ...issuer,
    introspection: introspection === undefined ? undefined : readIntrospection(introspection, files),
  }));
}

function readIntrospection(
  { clientId, clientSecretFile, clientKeyFile, jwt, ...rest }: IntrospectionSection,
  { file, read }: ConfigFiles,
): IntrospectionSettings {
  const place = 'issuers[].introspection';
  if ((clientSecretFile === undefined) === (clientKeyFile === undefined)) {
    throw new GatewayError(
      'config-invalid',
      `${file}: ${place}: expected clientSecretFile or clientKeyFile, one of both`,
    );
  }
  const client: ClientAuthentication =
    clientSecretFile === undefined
      ? {
          kind: 'private_key_jwt',
          clientId,
          ...readClientKey(read(clientKeyFile as string, `${place}.clientKeyFile`), file),
        }
      : {
          kind: 'client_secret_basic',
          clientId,
          secret: read(clientSecretFile, `${place}.clientSecretFile`).replace(/\r?\n$/, ''),
        };
  return { ...rest, jwtToo: jwt, client };
}

/** A private key as a JWK, or as PKCS #8 in PEM. The algorithm is the key's own. */
function readClientKey(
  text: string,
  file: string,
): { readonly key: KeyObject; readonly algorithm: string; readonly keyId: string | undefined } {
  try {
    const jwk = text.trimStart().startsWith('{')
      ? (JSON.parse(text) as JsonWebKeyInput['key'] & { kid?: string })
      : undefined;
    const key = jwk === undefined ? createPrivateKey(text) : createPrivateKey({ key: jwk, format: 'jwk' });
    return { key, algorithm: algorithmOf(key), keyId: jwk?.kid };
  } catch {
    // Its text is a secret, and so may be what a parser says about it.
    throw new GatewayError(
      'config-invalid',
      `${file}: issuers[].introspection.clientKeyFile: expected a private key (RSA, P-256, P-384 or Ed25519) as JWK or PKCS #8 PEM`,
    );
  }
}

function algorithmOf(key: KeyObject): string {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (curve === 'prime256v1') return 'ES256';
  if (curve === 'secp384r1') return 'ES384';
  throw new TypeError('expected a key of another kind');
}

function isDistinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
