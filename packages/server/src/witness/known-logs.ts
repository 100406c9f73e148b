/**
 * The logs a witness knows: a file with a verifier key a line, read again when it has changed, so that adding a log needs no restart. A file that
 * can't be read leaves what was known; a log that is taken out is known no more, but what was cosigned of it stays.
 */
import { parseVerifierKey, type Verifier } from '@watchglass/record';
import { ServerError } from '../errors.ts';
import type { World } from '../world/world.ts';

/** The file is looked at again after this long, when somebody asks. */
const freshMs = 1_000;
const logsMax = 10_000;
const fileBytesMax: number = 16 * 1024 * 1024;

export class KnownLogs {
  readonly #world: World;
  readonly #path: string;
  readonly #report: (message: string) => void;
  #bytes: Uint8Array;
  #logs: ReadonlyMap<string, readonly Verifier[]>;
  #lookedMs: number;
  #looking: Promise<void> | undefined;

  private constructor(world: World, path: string, report: (message: string) => void, bytes: Uint8Array) {
    this.#world = world;
    this.#path = path;
    this.#report = report;
    this.#bytes = bytes;
    this.#logs = parseLogs(bytes, path);
    this.#lookedMs = world.clock.monotonicMs();
  }

  /** @throws ServerError `config-invalid` */
  static async open(world: World, path: string, report: (message: string) => void): Promise<KnownLogs> {
    return new KnownLogs(world, path, report, await readLogs(world, path));
  }

  get count(): number {
    return this.#logs.size;
  }

  /** The keys that may sign for this origin; none for an unknown one. */
  async keysOf(origin: string): Promise<readonly Verifier[]> {
    if (this.#world.clock.monotonicMs() - this.#lookedMs >= freshMs) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
      await this.#looking;
    }
    return this.#logs.get(origin) ?? [];
  }

  async #look(): Promise<void> {
    try {
      const bytes = await readLogs(this.#world, this.#path);
      if (Buffer.compare(bytes, this.#bytes) !== 0) {
        this.#logs = parseLogs(bytes, this.#path);
        this.#bytes = bytes;
      }
    } catch (error) {
      this.#report(`the list of logs stays as it was: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#lookedMs = this.#world.clock.monotonicMs();
  }
}

async function readLogs(world: World, path: string): Promise<Uint8Array> {
  const bytes = await world.disk.readFile(path);
  if (bytes === undefined)
    throw new ServerError('config-invalid', `logs: there is no ${path}; \`watchglass witness add-log\` writes one`);
  if (bytes.length > fileBytesMax)
    throw new ServerError('config-invalid', `logs: expected ${path} to have at most ${fileBytesMax} bytes`);
  return bytes;
}

/**
 * By origin, which is the key's name; a log may have several keys.
 * @throws ServerError `config-invalid`, with the line
 */
export function parseLogs(bytes: Uint8Array, path: string): ReadonlyMap<string, readonly Verifier[]> {
  const logs = new Map<string, Verifier[]>();
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8').split('\n');
  for (const [at, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    let key: Verifier;
    try {
      key = parseVerifierKey(line);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ServerError('config-invalid', `${path}, line ${at + 1}: ${why}`, { cause });
    }
    if (key.type === 4)
      throw new ServerError(
        'config-invalid',
        `${path}, line ${at + 1}: expected the verifier key of a log, got that of a witness`,
      );
    const keys = logs.get(key.name) ?? [];
    if (!keys.some(({ keyId }) => keyId === key.keyId)) logs.set(key.name, [...keys, key]);
  }
  if (logs.size > logsMax)
    throw new ServerError('config-invalid', `${path}: expected at most ${logsMax} logs, got ${logs.size}`);
  return logs;
}
