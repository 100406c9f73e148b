/**
 * One end of the talk between a primary and one of its workers: questions with their answers, and things told, both ways. What is said in one turn of the event loop
 * goes as one frame, the next frame once the one before is written: a burst costs a few writes, and a peer that doesn't read holds nothing up but itself.
 *
 * Bounded: questions that are open, items that wait, items a frame. Whoever can't ask, or hears nothing in time, gets a `ChannelError` and has to do without: what that
 * means is for the caller to decide, and for a guard it is to refuse. Order is kept: what was said first is heard first.
 */

/** What carries frames: the IPC pipe of Node.js, JSON on a line. */
export interface Wire {
  /** Calls back once it is written, with an error if it couldn't be. */
  send(frame: unknown, written: (error: Error | null) => void): void;
}

export type ChannelFault = 'closed' | 'full' | 'late' | 'refused';

export class ChannelError extends Error {
  readonly fault: ChannelFault;
  /** What the other end said about it, if it said something. */
  readonly said: unknown;

  constructor(fault: ChannelFault, said?: unknown) {
    super(`the other process gave no answer: ${fault}`);
    this.name = 'ChannelError';
    this.fault = fault;
    this.said = said;
  }
}

export interface ChannelOptions {
  readonly wire: Wire;
  /** Answers a question; rejecting is an answer too: `refused`. */
  readonly answer: (name: string, body: unknown) => unknown;
  readonly hear: (name: string, body: unknown) => void;
  readonly openMax?: number;
  readonly waitingMax?: number;
}

const openMaxUsual = 20_000;
const waitingMaxUsual = 50_000;
const frameItemsMax = 512;

/** A question with its number, its answer or refusal, or something told. */
type Item =
  | readonly ['ask', number, string, unknown]
  | readonly ['answer', number, unknown]
  | readonly ['refuse', number, unknown]
  | readonly ['tell', string, unknown];

interface Open {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: ChannelError) => void;
  readonly timer: NodeJS.Timeout;
}

export class Channel {
  readonly #options: ChannelOptions;
  readonly #openMax: number;
  readonly #waitingMax: number;
  readonly #open = new Map<number, Open>();
  /** What nobody waits for any more, but would give back what it may bring. */
  readonly #late = new Map<number, (answer: unknown) => void>();
  #waiting: Item[] = [];
  #lastNumber = 0;
  #state: 'quiet' | 'gathering' | 'writing' | 'closed' = 'quiet';
  #quiet: PromiseWithResolvers<void> | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#openMax = options.openMax ?? openMaxUsual;
    this.#waitingMax = options.waitingMax ?? waitingMaxUsual;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Rejects with a `ChannelError`. `onLate` gets the answer that came after all: what was given with it, somebody has to give back. */
  ask(name: string, body: unknown, deadlineMs: number, onLate?: (answer: unknown) => void): Promise<unknown> {
    if (this.#state === 'closed') return Promise.reject(new ChannelError('closed'));
    const openCount = this.#open.size + (onLate === undefined ? 0 : this.#late.size);
    if (openCount >= this.#openMax || this.#waiting.length >= this.#waitingMax)
      return Promise.reject(new ChannelError('full'));
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#settle(number)?.reject(new ChannelError('late'));
      if (onLate !== undefined) this.#late.set(number, onLate);
    }, deadlineMs);
    timer.unref();
    this.#open.set(number, { resolve, reject, timer });
    this.#say(['ask', number, name, body]);
    return promise;
  }

  /** False where it can't be said. */
  tell(name: string, body: unknown): boolean {
    if (this.#state === 'closed' || this.#waiting.length >= this.#waitingMax) return false;
    this.#say(['tell', name, body]);
    return true;
  }

  /** To be given every message that came from the other end; what is no frame is left to others. */
  receive(frame: unknown): void {
    const items = itemsOf(frame);
    if (items === undefined || this.#state === 'closed') return;
    for (const item of items) this.#take(item);
  }

  /** Resolves once all that was said is written, or can't be any more. */
  async quiet(): Promise<void> {
    if (this.#state === 'quiet' || this.#state === 'closed') return;
    this.#quiet ??= Promise.withResolvers<void>();
    await this.#quiet.promise;
  }

  /** The other end is gone: nothing more is said, and what was asked gets no answer. */
  close(): void {
    this.#rest('closed');
    this.#waiting = [];
    this.#late.clear();
    for (const number of [...this.#open.keys()]) this.#settle(number)?.reject(new ChannelError('closed'));
  }

  #take(item: Item): void {
    switch (item[0]) {
      case 'ask':
        void this.#reply(item[1], item[2], item[3]);
        return;
      case 'answer':
        this.#settle(item[1])?.resolve(item[2]);
        this.#hearLate(item[1], item[2]);
        return;
      case 'refuse':
        this.#settle(item[1])?.reject(new ChannelError('refused', item[2]));
        this.#late.delete(item[1]);
        return;
      case 'tell':
        try {
          this.#options.hear(item[1], item[2]);
        } catch {
          // What can't be read changes nothing, and nobody waits for an answer.
        }
        return;
      default:
        item satisfies never;
    }
  }

  #hearLate(number: number, answer: unknown): void {
    const onLate = this.#late.get(number);
    this.#late.delete(number);
    onLate?.(answer);
  }

  /** At once where the answer is there: questions asked together are answered together. */
  #reply(number: number, name: string, body: unknown): void | Promise<void> {
    const say = (item: Item): void => {
      if (this.#state !== 'closed') this.#say(item);
    };
    try {
      const answer = this.#options.answer(name, body);
      if (!(answer instanceof Promise)) return say(['answer', number, answer ?? null]);
      return answer.then(
        (late: unknown) => say(['answer', number, late ?? null]),
        (error: unknown) => say(['refuse', number, saidOf(error)]),
      );
    } catch (error) {
      say(['refuse', number, saidOf(error)]);
    }
  }

  #settle(number: number): Open | undefined {
    const open = this.#open.get(number);
    if (open === undefined) return undefined;
    this.#open.delete(number);
    clearTimeout(open.timer);
    return open;
  }

  #say(item: Item): void {
    this.#waiting.push(item);
    if (this.#state !== 'quiet') return;
    this.#state = 'gathering';
    setImmediate(() => this.#write());
  }

  #write(): void {
    if (this.#state === 'closed') return;
    this.#state = 'writing';
    const items = this.#waiting.splice(0, frameItemsMax);
    this.#options.wire.send({ watchglass: items }, (error) => {
      if (this.#state === 'closed') return;
      if (error !== null && error !== undefined) this.close();
      else if (this.#waiting.length > 0) this.#write();
      else this.#rest('quiet');
    });
  }

  #rest(state: 'quiet' | 'closed'): void {
    this.#state = state;
    this.#quiet?.resolve();
    this.#quiet = undefined;
  }
}

/** The code of an error and what it says: errors of the house hold nothing of a request. */
function saidOf(error: unknown): unknown {
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  return typeof code === 'string' && typeof message === 'string' ? { code, message } : null;
}

const shapes: Readonly<Record<string, readonly ('number' | 'string')[]>> = {
  ask: ['number', 'string'],
  answer: ['number'],
  refuse: ['number'],
  tell: ['string'],
};

/** What isn't a frame of this version is nobody's: a process of ours never sends it. */
function itemsOf(frame: unknown): readonly Item[] | undefined {
  const items = typeof frame === 'object' && frame !== null && 'watchglass' in frame ? frame.watchglass : undefined;
  if (!Array.isArray(items) || items.length > frameItemsMax) return undefined;
  return items.every(isItem) ? items : undefined;
}

function isItem(item: unknown): item is Item {
  if (!Array.isArray(item)) return false;
  const [kind, ...rest] = item as unknown[];
  const shape = typeof kind === 'string' && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
  return shape !== undefined && rest.length === shape.length + 1 && shape.every((type, at) => typeof rest[at] === type);
}
