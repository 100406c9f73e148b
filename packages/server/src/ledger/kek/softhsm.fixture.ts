/** A token of SoftHSM 2 of its own for a test. Undefined where SoftHSM (Debian: softhsm2) or koffi is not installed. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realWorld } from '../../world/real-world.ts';
import { pkcs11Keks } from './pkcs11.ts';
import type { ProviderDeps } from './provider.ts';
import type { Pkcs11Settings } from './settings.ts';

const modules = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];
const pin = '987654321';

export interface SoftHsm extends AsyncDisposable {
  readonly settings: Pkcs11Settings;
  readonly deps: ProviderDeps;
}

/** Says what is missing, or nothing. */
export async function missingForSoftHsm(): Promise<string | undefined> {
  if (!modules.some((path) => existsSync(path))) return 'SoftHSM is not installed (Debian: apt-get install softhsm2)';
  try {
    await import('koffi');
    return undefined;
  } catch {
    return 'the package koffi is not installed';
  }
}

export async function startSoftHsm(): Promise<SoftHsm> {
  const dir = mkdtempSync(join(tmpdir(), 'softhsm-'));
  mkdirSync(join(dir, 'tokens'));
  const conf = join(dir, 'softhsm2.conf');
  writeFileSync(conf, `directories.tokendir = ${join(dir, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  // The child process takes it from our environment, as any vendor's module takes its own.
  process.env.SOFTHSM2_CONF = conf;
  execFileSync('softhsm2-util', [
    '--init-token',
    '--free',
    '--label',
    'watchglass test',
    '--so-pin',
    '12345678',
    '--pin',
    pin,
  ]);
  const settings: Pkcs11Settings = {
    provider: 'pkcs11',
    key: 'kek',
    module: modules.find((path) => existsSync(path)) as string,
    token: 'watchglass test',
    pin: { kind: 'environment', name: 'PIN' },
  };
  const deps: ProviderDeps = { world: realWorld(), env: { PIN: pin } };
  const made = pkcs11Keks(settings, deps);
  const key = await made.create();
  await made[Symbol.asyncDispose]();
  return {
    settings: { ...settings, key },
    deps,
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
