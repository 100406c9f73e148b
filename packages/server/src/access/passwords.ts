/**
 * Passwords by Argon2id (RFC 9106; 19 MiB, two passes, one lane: OWASP's floor), at most two at a time, so that a storm of
 * sign-ins can't take the machine. An unknown person costs the same as a known one.
 */
import { hash, verify } from '@node-rs/argon2';
import type { World } from '../world/world.ts';

/** `Algorithm.Argon2id`, an ambient enum that can't be imported here. */
const argon2id = 2;
const parameters = { algorithm: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
const runningMax = 2;
const waitingMax = 64;

export interface Passwords {
  /** The encoded hash. Waits for its turn however long the queue. */
  hash(password: string): Promise<string>;
  /** Against `undefined` it does the work and says no. `busy` when too many wait. */
  matches(encoded: string | undefined, password: string): Promise<boolean | 'busy'>;
}

export function openPasswords(world: World): Passwords {
  const turn = createTurnstile();
  let decoy: Promise<string> | undefined;

  const hashNow = (password: string): Promise<string> =>
    hash(password, { ...parameters, salt: Buffer.from(world.random.bytes(16)) });

  return {
    hash: (password) => turn.enter(() => hashNow(password)),
    async matches(encoded, password) {
      if (turn.waiting() >= waitingMax) return 'busy';
      decoy ??= turn.enter(() => hashNow(Buffer.from(world.random.bytes(32)).toString('base64url')));
      const against = encoded ?? (await decoy);
      const same = await turn.enter(() => verify(against, password));
      return encoded === undefined ? false : same;
    },
  };
}

interface Turnstile {
  enter<T>(run: () => Promise<T>): Promise<T>;
  waiting(): number;
}

/** Lets `runningMax` in, first come first served. */
function createTurnstile(): Turnstile {
  let running = 0;
  const queue: (() => void)[] = [];
  return {
    waiting: () => queue.length,
    async enter(run) {
      if (running >= runningMax) await new Promise<void>((resolve) => queue.push(resolve));
      else running += 1;
      try {
        return await run();
      } finally {
        const next = queue.shift();
        // The place goes straight to the next in line, so `running` stays as it is.
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}

/** 80 bits in four groups that can be typed: no letters that look alike. */
export function freshPassword(world: World): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
  const letters: string[] = [];
  while (letters.length < 16) {
    for (const byte of world.random.bytes(32)) {
      // 248 = 8 · 31: bytes past it would favour the first letters.
      if (byte < 248 && letters.length < 16) letters.push(alphabet[byte % alphabet.length] ?? '');
    }
  }
  return [0, 4, 8, 12].map((from) => letters.slice(from, from + 4).join('')).join('-');
}
