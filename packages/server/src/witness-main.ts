/**
 * A witness, built from its configuration: a small process of its own that keeps what it cosigned and nothing else. When `startWitness` resolves it listens;
 * disposing answers what was asked, then lets go of the directory.
 */
import {
  cosignerOf,
  formatVerifierKey,
  generateSigner,
  parseSignerKey,
  RecordError,
  type Signer,
} from '@watchglass/record';
import { pino } from 'pino';
import { readKeyFile } from './access/key-file.ts';
import type { TlsFiles } from './config/config.ts';
import { type WitnessConfig, witnessUrl } from './config/witness-config.ts';
import { ServerError } from './errors.ts';
import { KnownLogs } from './witness/known-logs.ts';
import { Witness } from './witness/witness.ts';
import { WitnessListener } from './witness/witness-listener.ts';
import { WitnessStore } from './witness/witness-store.ts';
import { realWorld } from './world/real-world.ts';
import type { World } from './world/world.ts';

export interface RunningWitness extends AsyncDisposable {
  /** The submission prefix, which is the monitoring prefix too. */
  readonly url: string;
  /** Verifier keys of its cosignatures. */
  readonly vkeys: readonly string[];
}

/** @throws ServerError `config-invalid`, `key-file-exposed`, `key-file-invalid`, `witness-locked` */
export async function startWitness(config: WitnessConfig, world: World = realWorld()): Promise<RunningWitness> {
  await using stack = new AsyncDisposableStack();
  const log = pino(
    { level: config.log.level, base: { name: 'watchglass-witness' } },
    pino.destination({ dest: 2, sync: true }),
  );
  const signers = await readSigners(world, config.keyFile);
  const tls = config.tls === undefined ? undefined : await readTls(world, config.tls);
  const logs = await KnownLogs.open(world, config.logsFile, (message) => log.error(message));
  await world.disk.makeDirectory(config.dataDir);
  const store = stack.use(await WitnessStore.open(world, config.dataDir, signers));
  for (const fault of store.broken.values()) log.error(fault);
  const listener = stack.use(
    new WitnessListener({
      world,
      witness: new Witness({ world, signers, logs, store }),
      store,
      prefix: config.prefix,
      limits: config.limits,
      logCount: () => logs.count,
      report: (message, error) => log.error({ err: error }, message),
      ...(tls === undefined ? {} : { tls }),
    }),
  );
  const port = await listener.listen(config.listen);
  const url = witnessUrl(config, port);
  log.info({ url, logs: logs.count }, 'ready');
  const running = stack.move();
  return {
    url,
    vkeys: signers.map(formatVerifierKey),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** A fresh key of a witness: a cosigner's, so that it can sign nothing else. Secret. */
export function makeWitnessKey(name: string, world: World = realWorld()): Signer {
  return cosignerOf(generateSigner(name, world.random.bytes(32)));
}

async function readSigners(world: World, path: string): Promise<readonly Signer[]> {
  const text = await readKeyFile(world, path);
  if (text === undefined)
    throw new ServerError('config-invalid', `key: there is no ${path}; \`watchglass witness init\` makes one`);
  try {
    const signers = text.split('\n').map(parseSignerKey);
    if (signers.some(({ type }) => type === 1))
      throw new RecordError('key-invalid', 'expected keys that cosign, got one that signs logs');
    return signers;
  } catch (cause) {
    throw new ServerError(
      'key-file-invalid',
      `expected ${path} to hold the signer key of a witness; restore it from its backup`,
      { cause },
    );
  }
}

async function readTls(world: World, files: TlsFiles): Promise<{ cert: Uint8Array; key: Uint8Array }> {
  const key = await readKeyFile(world, files.keyFile);
  const cert = await world.disk.readFile(files.certFile);
  if (key === undefined || cert === undefined)
    throw new ServerError('config-invalid', `tls: expected ${files.certFile} and ${files.keyFile}; put them there`);
  return { cert, key: new TextEncoder().encode(key) };
}
