/** The provider that settings name. Nothing is called or read by opening one. */
import { awsKms } from './aws-kms.ts';
import { azureKeyVault } from './azure-key-vault.ts';
import { type FilePlace, localKeks, passphraseKeks } from './file-keks.ts';
import { googleKms } from './google-kms.ts';
import { pkcs11Keks } from './pkcs11.ts';
import type { KekProvider, ProviderDeps } from './provider.ts';
import type { KekSettings, SecretSource } from './settings.ts';
import { vaultTransit } from './vault-transit.ts';

export interface ProviderPlace extends FilePlace {
  /** Where older passphrases were. */
  readonly olderPassphrases?: readonly SecretSource[];
}

export function openProvider(settings: KekSettings, place: ProviderPlace, deps: ProviderDeps): KekProvider {
  switch (settings.provider) {
    case 'local':
      return localKeks(place, deps);
    case 'passphrase':
      return passphraseKeks(settings, place, deps, place.olderPassphrases);
    case 'aws-kms':
      return awsKms(settings, deps);
    case 'google-kms':
      return googleKms(settings, deps);
    case 'azure-key-vault':
      return azureKeyVault(settings, deps);
    case 'vault-transit':
      return vaultTransit(settings, deps);
    case 'pkcs11':
      return pkcs11Keks(settings, deps);
    default:
      return settings satisfies never;
  }
}

/** The key that settings name, where keys are named by whoever keeps them. */
export function locatorOf(settings: KekSettings): string | undefined {
  return 'key' in settings ? settings.key : undefined;
}
