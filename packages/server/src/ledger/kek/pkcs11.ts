/**
 * Keys in a hardware security module over PKCS#11: AES-256-GCM with the additional data, under a key that never leaves the token. The vendor's
 * library runs in a child process, since its calls block and may hang; a question that gets no answer in time ends that process, and the next
 * one starts another. Wrapped = IV(12) ‖ ciphertext ‖ tag(16). Right to wrap or unwrap: the attributes CKA_ENCRYPT and CKA_DECRYPT of the key.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { RecordError } from '@watchglass/record';
import type { Kek } from '@watchglass/record/reader';
import type { Question, Reply } from './pkcs11-child.ts';
import { type KekProvider, type ProviderDeps, readSecret } from './provider.ts';
import type { Pkcs11Settings } from './settings.ts';

const answerMsUsual = 10_000;
const ivBytes = 12;
const tagBytes = 16;

/** Return values (PKCS #11 §5.1) by what they mean to us; any other is `kek-unreachable`. */
const refused: ReadonlySet<number> = new Set([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x101, 0x102, 0x68, 0x63, 0x1b, 0xe2]);
const tampered: ReadonlySet<number> = new Set([0x35, 0x40, 0x41, 0x20, 0x21]);
const generalError = 0x5;

export interface Pkcs11Options {
  readonly answerMs?: number;
  /** What to run instead of our child, to see how one that hangs or dies is dealt with. */
  readonly childPath?: string;
}

export function pkcs11Keks(
  settings: Pkcs11Settings,
  deps: ProviderDeps,
  options: Pkcs11Options = {},
): KekProvider & AsyncDisposable {
  const child = new Child(settings, deps, options);
  return {
    open: async (locator) => keyOf(locator, settings, child, deps),
    async create() {
      const label = `${settings.key}-${Buffer.from(deps.world.random.bytes(4)).toString('hex')}`;
      await child.ask({ kind: 'generate', label });
      return label;
    },
    [Symbol.asyncDispose]: () => child.end(),
  };
}

function keyOf(label: string, settings: Pkcs11Settings, child: Child, { world }: ProviderDeps): Kek {
  const id = `pkcs11:${settings.token.replaceAll(' ', '_')}/${label}`;
  const lost = (): RecordError =>
    new RecordError('kek-lost', `the token has no AES key called ${label}: what was wrapped under ${id} stays closed`);
  return {
    id,
    async wrap(secret, aad) {
      const reply = await child.ask({ kind: 'encrypt', label, secret, aad, iv: world.random.bytes(ivBytes) });
      if (reply.bytes === undefined) throw lost();
      return reply.bytes;
    },
    async unwrap(wrapped, aad) {
      if (wrapped.length <= ivBytes + tagBytes)
        throw new RecordError('seed-refused', `the secret was not wrapped by ${id}`);
      const reply = await child.ask({ kind: 'decrypt', label, wrapped, aad });
      if (reply.bytes === undefined) throw lost();
      return reply.bytes;
    },
    async destroy() {
      await child.ask({ kind: 'destroy', label });
      return { kind: 'destroyed' };
    },
  };
}

class Child {
  readonly #settings: Pkcs11Settings;
  readonly #deps: ProviderDeps;
  readonly #options: Pkcs11Options;
  #running: ChildProcess | undefined;
  /** Questions are asked one after another: a session does one thing at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(settings: Pkcs11Settings, deps: ProviderDeps, options: Pkcs11Options) {
    this.#settings = settings;
    this.#deps = deps;
    this.#options = options;
  }

  ask(question: Exclude<Question, { kind: 'open' }>): Promise<Extract<Reply, { kind: 'done' }>> {
    const answered = this.#last.then(async () => {
      if (this.#running === undefined) await this.#start();
      return this.#exchange(question);
    });
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  async end(): Promise<void> {
    await this.#last;
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    running.ref();
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  }

  async #start(): Promise<void> {
    const { module, token } = this.#settings;
    const pin = await readSecret(this.#deps, this.#settings.pin, 'the PIN of the token');
    const child = fork(this.#options.childPath ?? join(import.meta.dirname, 'pkcs11-child.ts'), {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.once('exit', () => {
      if (this.#running === child) this.#running = undefined;
    });
    this.#running = child;
    // It leaves when the channel closes: it must not keep us from ending.
    child.unref();
    child.channel?.unref();
    try {
      await this.#exchange({ kind: 'open', module, token, pin });
    } catch (error) {
      this.#drop();
      throw error;
    }
  }

  #drop(): void {
    this.#running?.kill('SIGKILL');
    this.#running = undefined;
  }

  async #exchange(question: Question): Promise<Extract<Reply, { kind: 'done' }>> {
    const child = this.#running;
    const token = this.#settings.token;
    if (child === undefined) throw unreachable(token, 'its process ended');
    const reply = await new Promise<Reply>((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        child.channel?.unref();
        child.off('message', answered).off('exit', died).off('error', died);
      };
      const answered = (message: unknown): void => {
        end();
        resolve(message as Reply);
      };
      const died = (): void => {
        end();
        this.#drop();
        reject(unreachable(token, 'its process ended'));
      };
      const ms = this.#options.answerMs ?? answerMsUsual;
      const timer = this.#deps.world.clock.after(ms, () => {
        end();
        this.#drop();
        reject(unreachable(token, `no answer within ${ms / 1_000} s`));
      });
      // While somebody waits for the answer the process lives.
      child.channel?.ref();
      child.once('message', answered).once('exit', died).once('error', died);
      child.send(question, (error) => {
        if (error !== null) died();
      });
    });
    if (reply.kind === 'done') return reply;
    throw this.#errorOf(reply, question);
  }

  #errorOf(reply: Exclude<Reply, { kind: 'done' }>, question: Question): RecordError {
    const token = this.#settings.token;
    if (reply.kind === 'koffi-missing')
      return new RecordError(
        'kek-refused',
        'the package `koffi` is needed for PKCS#11; install it beside Watchglass: npm install koffi',
      );
    if (reply.kind === 'failed') return unreachable(token, reply.message);
    const { what, value } = reply;
    const details = { details: { returned: value } };
    if (tampered.has(value) || (value === generalError && question.kind === 'decrypt'))
      return new RecordError(
        'seed-refused',
        `the secret does not unwrap on the token ${token} (${what}); it was wrapped under another key or for another place, or its bytes were changed`,
        details,
      );
    if (refused.has(value))
      return new RecordError(
        'kek-refused',
        `the token ${token} refuses (${what}); check the PIN and the attributes of the key`,
        details,
      );
    // The session may be broken: the next question begins anew.
    this.#drop();
    return new RecordError(
      'kek-unreachable',
      `the token ${token} does not answer (${what}); check that it is there`,
      details,
    );
  }
}

function unreachable(token: string, why: string): RecordError {
  return new RecordError(
    'kek-unreachable',
    `the token ${token} cannot be reached (${why}); check the module and the token`,
  );
}
