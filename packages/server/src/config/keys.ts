/**
 * The `keys` part of `watchglass.yaml`: who keeps the key-encryption keys, and with what rights. Each provider has keys of its own; one that belongs to
 * another provider is refused, as is one that is missing. No secret stands in the configuration: files and variables are named.
 */
import { z } from 'zod';
import type { CloudCredentials, KekSettings, KeysSettings, SecretSource } from '../ledger/kek/settings.ts';

const path = z.string().min(1).max(1_000);
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'expected the name of a variable');
const secret = (what: string) =>
  z.strictObject({
    file: path.optional().describe(`File with ${what}, mode 0600; read again at each use.`),
    environment: variable.optional().describe(`Variable of the environment with ${what}.`),
  });
const address = z
  .url({ protocol: /^https?$/, hostname: /.+/ })
  .refine(
    (url) => new URL(url).pathname === '/' && !/[?#]/.test(url),
    'expected an origin such as `https://vault.example:8200`',
  );

const providers = [
  'local',
  'passphrase',
  'aws-kms',
  'google-kms',
  'azure-key-vault',
  'vault-transit',
  'pkcs11',
] as const;

const kept = {
  provider: z
    .enum(providers)
    .default('local')
    .describe(
      'Who keeps the key-encryption key: a file in `<data>/keys` (`local`), a `passphrase`, or the service named. docs/keys.md weighs them.',
    ),
  key: z
    .string()
    .min(1)
    .max(230)
    .optional()
    .describe(
      'The first key at the service: ARN or id (AWS), key version (Google), key URL with version (Azure), name (Vault), label (PKCS#11). Later ones come by `watchglass keys rotate`.',
    ),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/)
    .optional()
    .describe('AWS: region of the key.'),
  endpoint: address.optional().describe('AWS and Google: origin of the service, where it is a private one.'),
  algorithm: z
    .enum(['RSA-OAEP-256', 'A256KW'])
    .optional()
    .describe('Azure: `RSA-OAEP-256` unless said; `A256KW` for a symmetric key in a managed HSM.'),
  authority: address.optional().describe('Azure: origin of the identity service, where it isn’t the public cloud’s.'),
  credentials: secret('the credentials, as JSON')
    .extend({ instance: z.literal(true).optional().describe('Use the identity of the machine this runs on.') })
    .optional()
    .describe('AWS, Google and Azure: who we are there; docs/keys.md has the JSON of each.'),
  address: address.optional().describe('Vault: its origin.'),
  mount: z
    .string()
    .regex(/^[\w-]+(\/[\w-]+)*$/)
    .optional()
    .describe('Vault: where the transit engine is mounted; `transit` unless said.'),
  namespace: z
    .string()
    .regex(/^[\w-]+(\/[\w-]+)*\/?$/)
    .optional()
    .describe('Vault: its namespace.'),
  token: secret('the token').optional().describe('Vault: the token; a file that Vault Agent renews serves best.'),
  ca: path.optional().describe('Vault: PEM file of the authority that signed its certificate.'),
  module: path.optional().describe('PKCS#11: the vendor’s library. Needs the package `koffi` beside Watchglass.'),
  tokenLabel: z.string().min(1).max(32).optional().describe('PKCS#11: label of the token.'),
  pin: secret('the PIN').optional().describe('PKCS#11: the PIN of the token’s user.'),
  passphrase: secret('the passphrase, at least 16 characters')
    .optional()
    .describe('Passphrase: where it is. The key is made of it by Argon2id.'),
};
const ring = z.strictObject(kept);

export const keysSchema: z.ZodType<KeysConfig, KeysConfig> = z.strictObject({
  ...kept,
  rights: z
    .enum(['wrap-and-unwrap', 'wrap'])
    .default('wrap-and-unwrap')
    .describe('`wrap`: this server stores records and can never open them; it then has no indexes and no search.'),
  tenants: z
    .record(z.string(), ring)
    .optional()
    .describe(
      'Tenants that bring keys of their own: the same keys as above (without `rights`) under the name of the tenant.',
    ),
}) as unknown as z.ZodType<KeysConfig, KeysConfig>;

interface SecretConfig {
  readonly file?: string | undefined;
  readonly environment?: string | undefined;
  readonly instance?: true | undefined;
}
interface RingConfig {
  readonly provider: (typeof providers)[number];
  readonly key?: string | undefined;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly algorithm?: 'RSA-OAEP-256' | 'A256KW' | undefined;
  readonly authority?: string | undefined;
  readonly credentials?: SecretConfig | undefined;
  readonly address?: string | undefined;
  readonly mount?: string | undefined;
  readonly namespace?: string | undefined;
  readonly token?: SecretConfig | undefined;
  readonly ca?: string | undefined;
  readonly module?: string | undefined;
  readonly tokenLabel?: string | undefined;
  readonly pin?: SecretConfig | undefined;
  readonly passphrase?: SecretConfig | undefined;
}
export interface KeysConfig extends RingConfig {
  readonly rights: KeysSettings['rights'];
  readonly tenants?: Readonly<Record<string, RingConfig>> | undefined;
}

type RingKey = Exclude<keyof RingConfig, 'provider'>;

/** What each provider needs, and what it may have. */
const keysOf: Readonly<
  Record<RingConfig['provider'], { readonly needs: readonly RingKey[]; readonly may: readonly RingKey[] }>
> = {
  local: { needs: [], may: [] },
  passphrase: { needs: ['passphrase'], may: [] },
  'aws-kms': { needs: ['key', 'region', 'credentials'], may: ['endpoint'] },
  'google-kms': { needs: ['key', 'credentials'], may: ['endpoint'] },
  'azure-key-vault': { needs: ['key', 'credentials'], may: ['algorithm', 'authority'] },
  'vault-transit': { needs: ['key', 'address', 'token'], may: ['mount', 'namespace', 'ca'] },
  pkcs11: { needs: ['key', 'module', 'tokenLabel', 'pin'], may: [] },
};

const keyForms: Partial<Readonly<Record<RingConfig['provider'], readonly [RegExp, string]>>> = {
  'aws-kms': [
    /^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]+|(mrk-)?[0-9a-f-]{32,40})$/,
    'the ARN or the id of a key; an alias could be moved to another key',
  ],
  'google-kms': [
    /^projects\/[^/\s]+\/locations\/[^/\s]+\/keyRings\/[^/\s]+\/cryptoKeys\/[^/\s]+\/cryptoKeyVersions\/\d+$/,
    '`projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/N`, with the version',
  ],
  'azure-key-vault': [
    /^https?:\/\/[^/\s]+\/keys\/[A-Za-z0-9-]{1,127}\/[0-9a-f]{32}$/,
    '`https://<vault>/keys/<name>/<version>`, with the version',
  ],
  'vault-transit': [/^[\w.-]{1,100}$/, 'the name of a key of the transit engine'],
  pkcs11: [/^[!-~]{1,100}$/, 'the label of a key, without spaces'],
};

/** What each key may be by itself but not beside the others. */
export function* contradictionsInKeys(keys: KeysConfig, tenants: readonly string[]): Generator<string> {
  const { rights: _rights, tenants: own = {}, ...shared } = keys;
  yield* contradictionsInRing(shared, 'keys');
  const taken = new Map([[placeOfKey(shared), 'the key that tenants share']]);
  for (const [tenant, one] of Object.entries(own)) {
    const place = placeOfKey(one);
    const owner = place === '' ? undefined : taken.get(place);
    if (owner !== undefined)
      yield `keys.tenants.${tenant}.key: is ${owner}; with the one what is under the other would end, too: give each its own`;
    taken.set(place, `the key of ${tenant}`);
    if (!tenants.includes(tenant))
      yield `keys.tenants.${tenant}: no tenant of this server; add it to \`tenants\`, or remove this`;
    yield* contradictionsInRing(one, `keys.tenants.${tenant}`);
  }
}

/** Where a key is kept, whoever may reach it; empty for those that are made here. */
function placeOfKey({
  provider,
  key,
  region,
  endpoint,
  address,
  mount,
  namespace,
  module,
  tokenLabel,
}: RingConfig): string {
  if (key === undefined) return '';
  return JSON.stringify([provider, key, region, endpoint, address, mount, namespace, module, tokenLabel]);
}

function* contradictionsInRing(keys: RingConfig, place: string): Generator<string> {
  const { provider } = keys;
  const { needs, may } = keysOf[provider];
  for (const need of needs)
    if (keys[need] === undefined) yield `${place}.${need}: missing; the provider \`${provider}\` needs it`;
  for (const given of Object.keys(keys) as (keyof RingConfig)[]) {
    if (given === 'provider' || keys[given] === undefined || needs.includes(given) || may.includes(given)) continue;
    yield `${place}.${given}: is for another provider than \`${provider}\`; remove it`;
  }
  const form = keyForms[provider];
  if (form !== undefined && keys.key !== undefined && !form[0].test(keys.key))
    yield `${place}.key: expected ${form[1]}`;
  for (const name of ['credentials', 'token', 'pin', 'passphrase'] as const) {
    const source = keys[name];
    if (source === undefined) continue;
    const ways = Object.values(source).filter((one) => one !== undefined).length;
    if (ways !== 1)
      yield `${place}.${name}: say one way: \`file\`${name === 'credentials' ? ', `environment` or `instance`' : ' or `environment`'}`;
  }
  for (const name of ['endpoint', 'authority', 'address', 'key'] as const) {
    const url = keys[name];
    if (url?.startsWith('http:') === true && !/^http:\/\/(localhost|127(\.\d{1,3}){3}|\[::1\])(:|\/|$)/.test(url))
      yield `${place}.${name}: plain http is for a loopback host only, since secrets go there; use https`;
  }
}

/** @param at makes paths absolute */
export function buildKeys(keys: KeysConfig, at: (path: string) => string): KeysSettings {
  const { rights, tenants = {}, ...shared } = keys;
  return {
    shared: buildRing(shared, at),
    tenants: Object.fromEntries(Object.entries(tenants).map(([tenant, one]) => [tenant, buildRing(one, at)])),
    rights,
  };
}

function buildRing(keys: RingConfig, at: (path: string) => string): KekSettings {
  const { provider, key = '' } = keys;
  const optional = <Name extends 'endpoint' | 'authority' | 'namespace'>(name: Name): { [K in Name]?: string } =>
    (keys[name] === undefined ? {} : { [name]: keys[name] }) as { [K in Name]?: string };
  switch (provider) {
    case 'local':
      return { provider };
    case 'passphrase':
      return { provider, passphrase: sourceOf(keys.passphrase, at) };
    case 'aws-kms':
      return {
        provider,
        key,
        region: keys.region ?? '',
        ...optional('endpoint'),
        credentials: credentialsOf(keys.credentials, at),
      };
    case 'google-kms':
      return { provider, key, ...optional('endpoint'), credentials: credentialsOf(keys.credentials, at) };
    case 'azure-key-vault':
      return {
        provider,
        key,
        algorithm: keys.algorithm ?? 'RSA-OAEP-256',
        ...optional('authority'),
        credentials: credentialsOf(keys.credentials, at),
      };
    case 'vault-transit':
      return {
        provider,
        key,
        address: keys.address ?? '',
        mount: keys.mount ?? 'transit',
        ...optional('namespace'),
        token: sourceOf(keys.token, at),
        ...(keys.ca === undefined ? {} : { ca: at(keys.ca) }),
      };
    case 'pkcs11':
      return {
        provider,
        key,
        module: at(keys.module ?? ''),
        token: keys.tokenLabel ?? '',
        pin: sourceOf(keys.pin, at),
      };
    default:
      return provider satisfies never;
  }
}

function credentialsOf(source: SecretConfig | undefined, at: (path: string) => string): CloudCredentials {
  return source?.instance === true ? { kind: 'instance' } : sourceOf(source, at);
}

function sourceOf({ file, environment = '' }: SecretConfig = {}, at: (path: string) => string): SecretSource {
  return file === undefined ? { kind: 'environment', name: environment } : { kind: 'file', path: at(file) };
}
