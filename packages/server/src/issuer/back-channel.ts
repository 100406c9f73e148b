/**
 * The end of a session, told to those who would go on without hearing of it (OpenID Connect Back-Channel Logout 1.0): a signed logout token, posted as a form.
 *
 * Told at once, again and a bit later each time, and then once a minute for a day: longer than any token lives that would be good where it wasn't heard. It is kept before the first try, so a
 * server that stops goes on with it after its next start. How it ended is an event, and so is that nobody heard within the first minute. Nobody waits for it: what has ended here has
 * ended, whoever hears.
 */
import { SignJWT } from 'jose';
import type { Logout, Logouts, RecordOwn } from '../access/access.ts';
import { httpCall } from '../world/http-call.ts';
import type { World } from '../world/world.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';
/** Before each attempt. */
const waitsMs: readonly number[] = [0, 200, 1_000, 3_000, 8_000, 15_000, 30_000];
/** Then. */
const laterMs = 60_000;
/** No access token lives longer. */
const tellMs = 24 * 3_600_000;
const attemptMs = 3_000;
const tokenSeconds = 120;
const answerBytesMax = 16_384;
/** Under way at once; what is beyond is recorded as not told yet. */
const tellingsMax = 10_000;

/** Somebody who hears of it. */
export interface Hearer {
  readonly client: string;
  readonly url: string;
}

export type Ended = Pick<Logout, 'tenant' | 'person' | 'sid'>;

export interface BackChannel extends AsyncDisposable {
  /** Kept when it returns. Throws where it can't be kept. */
  tell(hearer: Hearer, ended: Ended): void;
  /** Goes on with what was kept and not heard before this process. */
  resume(hearers: readonly Hearer[]): void;
  /** Resolves once nothing is under way; for tests. */
  idle(): Promise<void>;
}

interface Telling {
  /** When it happened, the last time: it may happen once more while it is being told. */
  sinceMs: number;
  settled: Promise<void>;
}

export function createBackChannel(parts: {
  readonly issuer: string;
  readonly signingKey: SigningKey;
  readonly world: World;
  readonly record: RecordOwn;
  readonly logouts: Logouts;
  /** PEM of the authorities that are trusted besides the system's. */
  readonly ca?: string;
  readonly report: (message: string, error: unknown) => void;
}): BackChannel {
  const { world, record, report, logouts } = parts;
  const over = new AbortController();
  const tellings = new Map<string, Telling>();

  const tokenOf = ({ client }: Hearer, { person, sid }: Ended): Promise<string> => {
    const nowSeconds = Math.floor(world.clock.now() / 1_000);
    return new SignJWT({ events: { [logoutEvent]: {} }, ...(sid === undefined ? {} : { sid }) })
      .setProtectedHeader({ alg: issuerAlgorithm, typ: 'logout+jwt', kid: parts.signingKey.kid })
      .setIssuer(parts.issuer)
      .setSubject(person)
      .setAudience(client)
      .setJti(Buffer.from(world.random.bytes(16)).toString('base64url'))
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + tokenSeconds)
      .sign(parts.signingKey.privateKey);
  };

  /** Undefined once it is heard; otherwise why not. */
  const attempt = async (hearer: Hearer, ended: Ended): Promise<string | undefined> => {
    const body = new URLSearchParams({ logout_token: await tokenOf(hearer, ended) }).toString();
    try {
      const { status } = await httpCall(
        {
          method: 'POST',
          url: new URL(hearer.url),
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body,
          ...(parts.ca === undefined ? {} : { ca: parts.ca }),
        },
        { signal: AbortSignal.any([over.signal, AbortSignal.timeout(attemptMs)]), bytesMax: answerBytesMax },
      );
      return status === 200 || status === 204 ? undefined : `status-${status}`;
    } catch {
      return 'unreachable';
    }
  };

  /** Until it is heard, or nobody has to hear any more, or the server stops: then it stays kept. */
  const telling = async (hearer: Hearer, ended: Ended, of: Pick<Telling, 'sinceMs'>): Promise<void> => {
    for (let tries = 0; ; ) {
      try {
        const waitMs = waitsMs[tries] ?? laterMs;
        if (waitMs > 0) await world.clock.sleep(waitMs, over.signal);
      } catch {
        return;
      }
      const triedMs = world.clock.now();
      const reason = await attempt(hearer, ended);
      if (over.signal.aborted && reason !== undefined) return;
      tries += 1;
      if (reason === undefined && of.sinceMs > triedMs) {
        tries = 0;
        continue;
      }
      // What it doesn't believe now it won't believe later.
      const isOver = reason === undefined || reason === 'status-400' || triedMs >= of.sinceMs + tellMs;
      if (isOver || tries === waitsMs.length) await say(hearer, ended, reason);
      if (!isOver) continue;
      logouts.forget({ ...ended, client: hearer.client });
      return;
    }
  };

  const say = async (
    { client }: Pick<Hearer, 'client'>,
    { tenant, person, sid }: Ended,
    reason: string | undefined,
  ): Promise<void> => {
    await record({
      tenant,
      kind: 'auth',
      action: 'execute',
      operation: 'logout-told',
      outcome: reason === undefined ? { status: 'success' } : { status: 'failed', reason },
      actor: { id: 'server', type: 'service' },
      targets: [
        { type: 'Person', id: person, role: 'object' },
        { type: 'Client', id: client, role: 'receiver' },
        ...(sid === undefined ? [] : [{ type: 'Session', id: sid, role: 'object' }]),
      ],
    }).catch((error: unknown) => report('issuer: what became of a logout could not be recorded', error));
  };

  const begin = (hearer: Hearer, { sinceMs, ...ended }: Logout): void => {
    const key = JSON.stringify([hearer.client, ended.person, ended.sid]);
    const running = tellings.get(key);
    if (running !== undefined) {
      running.sinceMs = sinceMs;
      return;
    }
    const one: Telling = { sinceMs, settled: Promise.resolve() };
    // What there is no room for stays kept: the next start tells it.
    const run = tellings.size >= tellingsMax ? say(hearer, ended, 'too-many') : telling(hearer, ended, one);
    tellings.set(key, one);
    one.settled = run
      .catch((error: unknown) => report('issuer: a logout could not be told', error))
      .finally(() => tellings.delete(key));
  };

  return {
    tell(hearer, { tenant, person, sid }) {
      const whose = { tenant, person, ...(sid === undefined ? {} : { sid }) };
      const logout = { ...whose, client: hearer.client, sinceMs: world.clock.now() };
      logouts.keep(logout);
      begin(hearer, logout);
    },
    resume(hearers) {
      for (const logout of logouts.list()) {
        const hearer = hearers.find(({ client }) => client === logout.client);
        if (hearer !== undefined) begin(hearer, logout);
        else logouts.forget(logout);
      }
    },
    async idle() {
      while (tellings.size > 0) await Promise.all([...tellings.values()].map(({ settled }) => settled));
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await Promise.all([...tellings.values()].map(({ settled }) => settled));
    },
  };
}
