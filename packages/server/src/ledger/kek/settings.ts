/**
 * How key-encryption keys are kept, as the configuration says it (`keys:` of watchglass.yaml) and `keys/keyring.json` remembers it. Holds names
 * and paths, never a secret.
 */

/** Where a secret comes from: a file (read again for each use, so that it can be replaced beside us) or a variable of the environment. */
export type SecretSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly name: string };

/** Credentials of a cloud: a secret of ours, or whatever the machine's own identity is. */
export type CloudCredentials = SecretSource | { readonly kind: 'instance' };

export interface LocalSettings {
  readonly provider: 'local';
}

export interface PassphraseSettings {
  readonly provider: 'passphrase';
  readonly passphrase: SecretSource;
}

export interface AwsKmsSettings {
  readonly provider: 'aws-kms';
  /** Key id or ARN of a symmetric encryption key; no alias, which could be moved. */
  readonly key: string;
  readonly region: string;
  /** Origin of the service, where it isn't `https://kms.<region>.amazonaws.com`. */
  readonly endpoint?: string;
  /** A file or variable holds `{"accessKeyId","secretAccessKey","sessionToken"?}`. */
  readonly credentials: CloudCredentials;
}

export interface GoogleKmsSettings {
  readonly provider: 'google-kms';
  /** `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/N`. */
  readonly key: string;
  readonly endpoint?: string;
  /** A file or variable holds the JSON key of a service account. */
  readonly credentials: CloudCredentials;
}

export interface AzureKeyVaultSettings {
  readonly provider: 'azure-key-vault';
  /** `https://<vault>.vault.azure.net/keys/<name>/<version>`. */
  readonly key: string;
  /** `RSA-OAEP-256`, or `A256KW` in a managed HSM. */
  readonly algorithm: 'RSA-OAEP-256' | 'A256KW';
  /** A file or variable holds `{"tenantId","clientId","clientSecret"}`. */
  readonly credentials: CloudCredentials;
  /** Of the identity service, where it isn't `https://login.microsoftonline.com`. */
  readonly authority?: string;
}

export interface VaultTransitSettings {
  readonly provider: 'vault-transit';
  /** Name of the key, of type `aes256-gcm96`. */
  readonly key: string;
  /** Origin of Vault. */
  readonly address: string;
  readonly mount: string;
  readonly namespace?: string;
  readonly token: SecretSource;
  /** PEM file of the authority that signed Vault's certificate. */
  readonly ca?: string;
}

export interface Pkcs11Settings {
  readonly provider: 'pkcs11';
  /** Label of an AES-256 key. */
  readonly key: string;
  /** The vendor's library. */
  readonly module: string;
  /** Label of the token. */
  readonly token: string;
  readonly pin: SecretSource;
}

export type KekSettings =
  | LocalSettings
  | PassphraseSettings
  | AwsKmsSettings
  | GoogleKmsSettings
  | AzureKeyVaultSettings
  | VaultTransitSettings
  | Pkcs11Settings;

export type KekProviderName = KekSettings['provider'];

/** All keys of an installation. */
export interface KeysSettings {
  /** Those of all tenants that bring none. */
  readonly shared: KekSettings;
  /** Tenants with keys of their own. */
  readonly tenants: Readonly<Record<string, KekSettings>>;
  /** `wrap`: this process seals and never opens. */
  readonly rights: 'wrap-and-unwrap' | 'wrap';
}

export const defaultKeys: KeysSettings = { shared: { provider: 'local' }, tenants: {}, rights: 'wrap-and-unwrap' };
