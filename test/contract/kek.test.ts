/** Every keeper of key-encryption keys, held to the one contract. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awsKms } from '../../packages/server/src/ledger/kek/aws-kms.ts';
import { startAwsKms } from '../../packages/server/src/ledger/kek/aws-kms-server.fixture.ts';
import { azureKeyVault } from '../../packages/server/src/ledger/kek/azure-key-vault.ts';
import { startAzureKeyVault } from '../../packages/server/src/ledger/kek/azure-key-vault-server.fixture.ts';
import { localKeks, passphraseKeks } from '../../packages/server/src/ledger/kek/file-keks.ts';
import { googleKms } from '../../packages/server/src/ledger/kek/google-kms.ts';
import { startGoogleKms } from '../../packages/server/src/ledger/kek/google-kms-server.fixture.ts';
import { pkcs11Keks } from '../../packages/server/src/ledger/kek/pkcs11.ts';
import type { KekProvider, ProviderDeps } from '../../packages/server/src/ledger/kek/provider.ts';
import { missingForSoftHsm, startSoftHsm } from '../../packages/server/src/ledger/kek/softhsm.fixture.ts';
import { startVault } from '../../packages/server/src/ledger/kek/vault-server.fixture.ts';
import { vaultTransit } from '../../packages/server/src/ledger/kek/vault-transit.ts';
import { realWorld } from '../../packages/server/src/world/real-world.ts';
import { type KekPlace, kekContract } from './kek.fixture.ts';

async function inDirectory(make: (keysDir: string, deps: ProviderDeps) => KekProvider): Promise<KekPlace> {
  const dir = mkdtempSync(join(tmpdir(), 'keks-'));
  const deps: ProviderDeps = { world: realWorld(), env: { PASSPHRASE: 'correct horse battery staple' } };
  const provider = make(dir, deps);
  return {
    provider,
    locator: await provider.create(),
    destruction: 'destroyed',
    again: () => make(dir, deps),
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function served<Server extends AsyncDisposable & { readonly settings: { readonly key: string } }>(
  start: () => Promise<Server>,
  open: (server: Server) => KekProvider,
  destruction: KekPlace['destruction'],
): () => Promise<KekPlace> {
  return async () => {
    const server = await start();
    return {
      provider: open(server),
      locator: server.settings.key,
      destruction,
      again: () => open(server),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  };
}

kekContract('local', () => inDirectory((keysDir, deps) => localKeks({ keysDir, tenant: undefined }, deps)));
kekContract('passphrase', () =>
  inDirectory((keysDir, deps) =>
    passphraseKeks(
      { provider: 'passphrase', passphrase: { kind: 'environment', name: 'PASSPHRASE' } },
      { keysDir, tenant: 'clinic' },
      deps,
    ),
  ),
);
kekContract(
  'aws-kms',
  served(startAwsKms, ({ settings, deps }) => awsKms(settings, deps), 'pendingUntil'),
);
kekContract(
  'google-kms',
  served(startGoogleKms, ({ settings, deps }) => googleKms(settings, deps), 'pendingUntil'),
);
kekContract(
  'azure-key-vault',
  served(startAzureKeyVault, ({ settings, deps }) => azureKeyVault(settings, deps), 'pendingUntil'),
);
kekContract(
  'vault-transit',
  served(startVault, ({ settings, deps }) => vaultTransit(settings, deps), 'destroyed'),
);
kekContract(
  'pkcs11',
  async () => {
    const hsm = await startSoftHsm();
    const open = (): KekProvider & AsyncDisposable => {
      const one = pkcs11Keks(hsm.settings, hsm.deps);
      stack.use(one);
      return one;
    };
    const stack = new AsyncDisposableStack();
    stack.use(hsm);
    return {
      provider: open(),
      locator: hsm.settings.key,
      destruction: 'destroyed',
      again: open,
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  },
  await missingForSoftHsm(),
);
