/**
 * The end of a session, told to those who would go on without hearing of it (OpenID Connect Back-Channel Logout 1.0): a signed logout token, posted as a form.
 *
 * Told at once, and again, a bit later each time, for about a minute; how it ended is an event. Nobody waits for it: what has ended here has ended, whoever hears.
 * In memory: a restart forgets what was not heard yet, and says so by the missing event.
 */
import type { TenantId } from '@watchglass/record';
import { SignJWT } from 'jose';
import type { RecordOwn } from '../access/access.ts';
import { httpCall } from '../world/http-call.ts';
import type { World } from '../world/world.ts';
import { issuerAlgorithm, type SigningKey } from './signing-key.ts';

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';
/** Before each attempt. */
const waitsMs: readonly number[] = [0, 200, 1_000, 3_000, 8_000, 15_000, 30_000];
const attemptMs = 3_000;
const tokenSeconds = 120;
const answerBytesMax = 16_384;
/** Underway at once; what is beyond is recorded as not told. */
const tellingsMax = 2_000;

/** Somebody who hears of it. */
export interface Hearer {
  readonly client: string;
  readonly url: string;
}

export interface Ended {
  readonly tenant: TenantId;
  readonly person: string;
  /** One session; all that the person has without. */
  readonly sid?: string;
}

export interface BackChannel extends AsyncDisposable {
  tell(hearer: Hearer, ended: Ended): void;
  /** Resolves once nothing is under way; for tests. */
  idle(): Promise<void>;
}

export function createBackChannel(parts: {
  readonly issuer: string;
  readonly signingKey: SigningKey;
  readonly world: World;
  readonly record: RecordOwn;
  /** PEM of the authorities that are trusted besides the system's. */
  readonly ca?: string;
  readonly report: (message: string, error: unknown) => void;
}): BackChannel {
  const { world, record, report } = parts;
  const over = new AbortController();
  const tellings = new Set<Promise<void>>();

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

  const telling = async (hearer: Hearer, ended: Ended): Promise<void> => {
    let reason: string | undefined = 'stopped';
    for (const waitMs of waitsMs) {
      try {
        if (waitMs > 0) await world.clock.sleep(waitMs, over.signal);
      } catch {
        break;
      }
      reason = await attempt(hearer, ended);
      // What it doesn't believe now it won't believe later.
      if (reason === undefined || reason === 'status-400') break;
    }
    await say(hearer, ended, reason);
  };

  const say = async ({ client }: Hearer, { tenant, person, sid }: Ended, reason: string | undefined): Promise<void> => {
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

  return {
    tell(hearer, ended) {
      const run = tellings.size >= tellingsMax ? say(hearer, ended, 'too-many') : telling(hearer, ended);
      const settled = run.catch((error: unknown) => report('issuer: a logout could not be told', error));
      tellings.add(settled);
      void settled.finally(() => tellings.delete(settled));
    },
    async idle() {
      while (tellings.size > 0) await Promise.all(tellings);
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await Promise.all(tellings);
    },
  };
}
