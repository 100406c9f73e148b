/**
 * The policy in force, and its files watched. A good file takes over from the next request on; a bad one is refused and told, and the old one stays. A file is
 * believed only once it holds still: half of it may be a policy too.
 *
 * `fs.watch` tells early, where it tells at all (network file systems don't); looking again every few seconds tells for sure.
 */
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { GatewayError, type GatewayErrorCode } from '../errors.ts';
import { cedarPath, completePolicy } from './load-policy.ts';
import { parsePolicy } from './policy.ts';
import type { Policy } from './tables.ts';

export type PolicyChange =
  | { readonly kind: 'loaded'; readonly policy: Policy }
  /** `digest` is that of the refused file, where it could be read. */
  | {
      readonly kind: 'refused';
      readonly code: GatewayErrorCode;
      readonly message: string;
      readonly digest: string | undefined;
    };

export interface PolicyKeeperOptions {
  readonly file: string;
  readonly policy: Policy;
  /** How often the files are looked at, whatever `fs.watch` says. */
  readonly pollMs: number;
  /** How long they have to hold still. */
  readonly settleMs: number;
  /** A new policy is in force only once this says that it is on record. */
  readonly record: (change: PolicyChange) => Promise<boolean>;
  /** Told when another one is in force; `look` waits for it. May not reject. */
  readonly onLoaded?: (policy: Policy) => Promise<void>;
}

/** An empty or missing file is being rewritten, until it has been that for so many looks. */
const patienceLooks = 5;

export class PolicyKeeper implements AsyncDisposable {
  readonly #options: PolicyKeeperOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #timer: NodeJS.Timeout;
  #current: Policy;
  #files: readonly string[];
  /** Of what is in force, or was refused last: nothing to tell. */
  #known: string | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #disposed = false;

  constructor(options: PolicyKeeperOptions) {
    this.#options = options;
    this.#current = options.policy;
    this.#files = filesOf(options.policy, options.file);
    this.#timer = setInterval(() => void this.look(), options.pollMs);
    this.#timer.unref();
    this.#watch();
  }

  get current(): Policy {
    return this.#current;
  }

  /** Looks at the files now; resolves when what they say is in force, or refused. Never rejects. */
  look(): Promise<void> {
    this.#again = true;
    this.#looking ??= this.#lookUntilQuiet().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    clearInterval(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#looking;
  }

  async #lookUntilQuiet(): Promise<void> {
    while (this.#again && !this.#disposed) {
      this.#again = false;
      await this.#lookOnce();
    }
  }

  async #lookOnce(): Promise<void> {
    let texts = await readTexts(this.#files);
    this.#known ??= fingerprintOf(this.#current);
    for (let looks = 0; fingerprint(texts) !== this.#known; looks++) {
      await pause(this.#options.settleMs);
      if (this.#disposed) return;
      const later = await readTexts(this.#files);
      const still = fingerprint(later) === fingerprint(texts);
      texts = later;
      if (still && (looks >= patienceLooks || texts.every((text) => (text ?? '').trim() !== ''))) {
        await this.#take(texts);
        return;
      }
    }
  }

  async #take(texts: readonly (string | undefined)[]): Promise<void> {
    const { file, record } = this.#options;
    const change = this.#read(texts);
    // It names a Cedar file that nobody looked at yet: once more, with both.
    if (change === undefined) {
      this.#again = true;
      return;
    }
    if (!(await record(change))) return;
    this.#known = fingerprint(texts);
    if (change.kind === 'loaded') {
      this.#current = change.policy;
      this.#files = filesOf(change.policy, file);
      this.#known = fingerprintOf(change.policy);
      await this.#options.onLoaded?.(change.policy);
    }
    this.#watch();
  }

  #read(texts: readonly (string | undefined)[]): PolicyChange | undefined {
    const { file } = this.#options;
    const [text] = texts;
    try {
      if (text === undefined) throw new GatewayError('config-unreadable', `expected policy in ${file}, got nothing`);
      const parsed = parsePolicy(text, file);
      const files = filesOf(parsed, file);
      const cedar = files[1];
      if (cedar !== undefined && !this.#files.includes(cedar)) {
        this.#files = files;
        return undefined;
      }
      const cedarText = cedar === undefined ? undefined : texts[this.#files.indexOf(cedar)];
      return { kind: 'loaded', policy: completePolicy(parsed, file, cedarText) };
    } catch (error) {
      const digest = text === undefined ? undefined : sha256(text);
      // A fault of the engine is a file that can't be used, and no reason to end: the policy in force stays.
      if (!(error instanceof GatewayError))
        return { kind: 'refused', code: 'policy-invalid', message: `${file} made the policy engine fail`, digest };
      return { kind: 'refused', code: error.code, message: error.message, digest };
    }
  }

  /** Folders, since a file that is replaced is another file. */
  #watch(): void {
    for (const folder of new Set(this.#files.map((path) => dirname(path)))) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => void this.look());
        watcher.on('error', () => watcher.close());
        this.#watchers.set(folder, watcher);
      } catch {
        // Looking every few seconds is left.
      }
    }
  }
}

function filesOf(policy: Policy, file: string): readonly string[] {
  const cedar = cedarPath(policy, file);
  return cedar === undefined ? [file] : [file, cedar];
}

function readTexts(files: readonly string[]): Promise<(string | undefined)[]> {
  return Promise.all(files.map((path) => readFile(path, 'utf8').catch(() => undefined)));
}

function fingerprint(texts: readonly (string | undefined)[]): string {
  return texts.map((text) => (text === undefined ? 'none' : sha256(text))).join(' ');
}

function fingerprintOf({ digest, engine }: Policy): string {
  return engine === undefined ? digest : `${digest} ${engine.digest}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms);
  return promise;
}
