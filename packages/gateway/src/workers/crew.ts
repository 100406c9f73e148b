/**
 * The worker processes of one primary: started, told how to begin, kept running, told of changes, and ended with it.
 *
 * What is told to all is in force in all once that resolves: a worker that doesn't say so in time is killed, and begins anew with it. One that dies, or doesn't move for a while,
 * is started again, after a pause that doubles while it keeps dying; where none is left that serves and the next can't be started either, the crew is lost.
 */
import cluster, { type Worker } from 'node:cluster';

import { Channel, ChannelError } from './channel.ts';

/** What answers one worker for as long as it lives. */
export interface WorkerDesk extends Disposable {
  answer(name: string, body: unknown): unknown;
  hear(name: string, body: unknown): void;
}

export interface CrewTimes {
  readonly readyWithinMs: number;
  readonly restartFirstMs: number;
  readonly restartMaxMs: number;
  /** One that lived this long starts anew with the first pause. */
  readonly steadyAfterMs: number;
  /** How long all may take to have in force what they are told. */
  readonly heardWithinMs: number;
  readonly pingEveryMs: number;
  /** One that doesn't answer for so long hangs. */
  readonly hungAfterMs: number;
  readonly stopWithinMs: number;
}

export const crewTimes: CrewTimes = {
  readyWithinMs: 60_000,
  restartFirstMs: 200,
  restartMaxMs: 10_000,
  steadyAfterMs: 20_000,
  heardWithinMs: 5_000,
  pingEveryMs: 2_000,
  hungAfterMs: 15_000,
  stopWithinMs: 30_000,
};

export type CrewNews =
  | { readonly kind: 'ready'; readonly slot: number; readonly pid: number | undefined; readonly again: boolean }
  | { readonly kind: 'died'; readonly slot: number; readonly how: string; readonly pauseMs: number }
  | { readonly kind: 'failed'; readonly slot: number; readonly why: unknown; readonly pauseMs: number }
  /** It is killed for it. */
  | { readonly kind: 'silent'; readonly slot: number; readonly about: string };

export interface MemberStatus {
  readonly slot: number;
  readonly pid: number | undefined;
  readonly state: 'starting' | 'ready' | 'down';
  readonly restarts: number;
}

export interface CrewOptions {
  readonly count: number;
  /** The file that a worker runs. */
  readonly exec: string;
  /** What it begins with, taken at the moment it is told. */
  readonly begin: (slot: number) => unknown;
  readonly desk: (slot: number) => WorkerDesk;
  readonly onNews: (news: CrewNews) => void;
  /** Whether a first start that was refused for this is tried again: what holds it up is about to go. */
  readonly isPassing?: (said: unknown) => boolean;
  readonly times?: CrewTimes;
}

interface Member {
  readonly slot: number;
  state: MemberStatus['state'];
  worker: Worker | undefined;
  channel: Channel | undefined;
  gone: Promise<void>;
  restarts: number;
  /** Starts that came to nothing, one after another. */
  failuresCount: number;
  pauseMs: number;
  timer: NodeJS.Timeout | undefined;
}

const startTriesMax = 5;
const passingPauseMs = 250;

export class Crew {
  readonly #options: CrewOptions;
  readonly #times: CrewTimes;
  readonly #members: readonly Member[];
  readonly #lost = Promise.withResolvers<unknown>();
  #stopping = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#times = options.times ?? crewTimes;
    this.#members = Array.from({ length: options.count }, (_, position) => ({
      slot: position + 1,
      state: 'down',
      worker: undefined,
      channel: undefined,
      gone: Promise.resolve(),
      restarts: 0,
      failuresCount: 0,
      pauseMs: this.#times.restartFirstMs,
      timer: undefined,
    }));
  }

  get status(): readonly MemberStatus[] {
    return this.#members.map(({ slot, worker, state, restarts }) => ({
      slot,
      pid: worker?.process.pid,
      state,
      restarts,
    }));
  }

  /** Resolves, with why, when nobody serves and nobody can be started. */
  get lost(): Promise<unknown> {
    return this.#lost.promise;
  }

  /** What each said when it was ready; rejects with what the first said that couldn't be, all others being gone. */
  async start(): Promise<readonly unknown[]> {
    // As long as those of a primary that was killed may take to end what they have under way.
    const untilMs = performance.now() + this.#times.stopWithinMs;
    try {
      return await Promise.all(this.#members.map((member) => this.#startPatiently(member, untilMs)));
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Tells all; resolves once it is in force in every one that lives. Never rejects. */
  async broadcast(name: string, body: unknown): Promise<void> {
    await Promise.all(
      this.#members.map(async (member) => {
        const { channel, gone } = member;
        if (channel === undefined) return;
        try {
          await channel.ask(name, body, this.#times.heardWithinMs);
        } catch {
          this.#killSilent(member, channel, name);
          await gone;
        }
      }),
    );
  }

  /** Asks all that are ready; undefined for one that doesn't answer. */
  askReady(name: string, deadlineMs: number): Promise<readonly { readonly slot: number; readonly answer: unknown }[]> {
    return Promise.all(
      this.#members
        .filter(({ state }) => state === 'ready')
        .map(async ({ slot, channel }) => ({
          slot,
          answer: await channel?.ask(name, null, deadlineMs).catch(() => undefined),
        })),
    );
  }

  /** False where that one doesn't serve. */
  tell(slot: number, name: string, body: unknown): boolean {
    const member = this.#members[slot - 1];
    return member?.state === 'ready' && member.channel?.tell(name, body) === true;
  }

  /** Lets each end what it has under way; resolves once all are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(
      this.#members.map(async ({ worker, channel, gone, timer }) => {
        clearTimeout(timer);
        if (worker === undefined) return;
        channel?.tell('stop', null);
        const late = setTimeout(() => worker.process.kill('SIGKILL'), this.#times.stopWithinMs);
        await gone;
        clearTimeout(late);
      }),
    );
  }

  async #startPatiently(member: Member, untilMs: number): Promise<unknown> {
    for (;;) {
      try {
        return await this.#startOne(member);
      } catch (error) {
        const said = error instanceof ChannelError ? error.said : undefined;
        const passing = this.#options.isPassing?.(said) === true && performance.now() < untilMs;
        if (!passing || this.#stopping) throw error;
        await member.gone;
        await new Promise((resolve) => setTimeout(resolve, passingPauseMs));
      }
    }
  }

  /** Resolves with what it said when it was ready; rejects when it couldn't be, and is gone then or about to go. */
  async #startOne(member: Member): Promise<unknown> {
    const { slot } = member;
    const { begin, desk: makeDesk, exec } = this.#options;
    const startedMs = performance.now();
    cluster.setupPrimary({ exec, args: [], execArgv: [...process.execArgv.filter(isForWorkers)], silent: false });
    const worker = cluster.fork();
    const desk = makeDesk(slot);
    const channel: Channel = new Channel({
      answer: (name, body) => desk.answer(name, body),
      hear: (name, body) => desk.hear(name, body),
      wire: { send: (frame, written) => void worker.send(frame as object, undefined, undefined, written) },
    });
    const { promise: gone, resolve: left } = Promise.withResolvers<void>();
    Object.assign(member, { worker, channel, gone, state: 'starting' });
    worker.on('message', (frame: unknown) => channel.receive(frame));
    void endOf(worker).then((how) => {
      channel.close();
      desk[Symbol.dispose]();
      const wasReady = member.state === 'ready';
      Object.assign(member, { worker: undefined, channel: undefined, state: 'down' });
      left();
      if (!wasReady || this.#stopping) return;
      if (performance.now() - startedMs > this.#times.steadyAfterMs) member.pauseMs = this.#times.restartFirstMs;
      const pauseMs = this.#again(member);
      this.#options.onNews({ kind: 'died', slot, how, pauseMs });
    });
    try {
      const answer = await channel.ask('begin', begin(slot), this.#times.readyWithinMs);
      member.state = 'ready';
      member.failuresCount = 0;
      this.#options.onNews({ kind: 'ready', slot, pid: worker.process.pid, again: member.restarts > 0 });
      void this.#watch(member, channel);
      return answer;
    } catch (error) {
      // One that was refused leaves by itself; one that is late never will.
      if (error instanceof ChannelError && error.fault === 'late') worker.process.kill('SIGKILL');
      throw error;
    }
  }

  /** When it will be started again. */
  #again(member: Member): number {
    const { pauseMs, slot } = member;
    member.pauseMs = Math.min(this.#times.restartMaxMs, pauseMs * 2);
    member.restarts += 1;
    member.timer = setTimeout(() => {
      this.#startOne(member).catch(async (error: unknown) => {
        await member.gone;
        if (this.#stopping) return;
        member.failuresCount += 1;
        const why = error instanceof ChannelError ? (error.said ?? error.fault) : error;
        if (member.failuresCount >= startTriesMax && !this.#members.some(({ state }) => state === 'ready')) {
          this.#lost.resolve(why);
          return;
        }
        this.#options.onNews({ kind: 'failed', slot, why, pauseMs: this.#again(member) });
      });
    }, pauseMs);
    return pauseMs;
  }

  async #watch(member: Member, channel: Channel): Promise<void> {
    while (member.channel === channel) {
      try {
        await channel.ask('ping', null, this.#times.hungAfterMs);
      } catch {
        this.#killSilent(member, channel, 'ping');
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, this.#times.pingEveryMs).unref());
    }
  }

  /** One that is gone already isn't silent. */
  #killSilent(member: Member, channel: Channel, about: string): void {
    const { worker, slot } = member;
    if (member.channel !== channel || worker === undefined || !worker.isConnected()) return;
    this.#options.onNews({ kind: 'silent', slot, about });
    worker.process.kill('SIGKILL');
  }
}

/** Resolves with how it ended, once the last that it said was heard as well. */
function endOf(worker: Worker): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let how: string | undefined;
  let silent = false;
  const settle = (): void => {
    if (how !== undefined && silent) resolve(how);
  };
  worker.on('exit', (code, signal) => {
    how = signal ?? `exit code ${code}`;
    settle();
  });
  worker.on('disconnect', () => {
    silent = true;
    settle();
  });
  // A message to one that is just leaving fails, and its exit says the rest; one that never came to be has none.
  worker.on('error', (error: NodeJS.ErrnoException) => {
    if (worker.process.pid === undefined) resolve(error.code ?? 'not started');
  });
  return promise;
}

/** What a test runner or a debugger was started with is not meant for workers. */
function isForWorkers(argument: string): boolean {
  return !/^--(?:test|inspect|watch)/.test(argument);
}
