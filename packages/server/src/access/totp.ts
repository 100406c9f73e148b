/**
 * One-time codes by time (RFC 6238: HMAC-SHA-1, six digits, thirty seconds), as every authenticator app makes them. A code is good one step early or late and no more,
 * and no step counts twice (§5.2): whoever looks over a shoulder comes too late.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const totpSecretBytes = 20;
const periodMs = 30_000;
const digits = 6;
/** Steps that a clock may be off, either way. */
const driftStepsMax = 1;
const codePattern = /^\d{6}$/;

export type TotpMatch = { readonly kind: 'match'; readonly step: number } | { readonly kind: 'wrong' | 'replayed' };

/** The code of a step of time (RFC 4226 §5.3). */
export function totpCode(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 0x0f;
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(number % 10 ** digits).padStart(digits, '0');
}

export function totpStep(nowMs: number): number {
  return Math.floor(nowMs / periodMs);
}

/** @param lastStep the newest step that was used; codes up to it are replays */
export function matchTotp(
  secret: Uint8Array,
  { code, nowMs, lastStep }: { readonly code: string; readonly nowMs: number; readonly lastStep: number },
): TotpMatch {
  const typed = code.replaceAll(/[\s-]/g, '');
  if (!codePattern.test(typed)) return { kind: 'wrong' };
  const now = totpStep(nowMs);
  let match: TotpMatch = { kind: 'wrong' };
  // All of them, always: how long it takes tells nothing.
  for (let step = now - driftStepsMax; step <= now + driftStepsMax; step++) {
    if (step < 0 || !timingSafeEqual(Buffer.from(totpCode(secret, step)), Buffer.from(typed))) continue;
    match = step > lastStep ? { kind: 'match', step } : match.kind === 'match' ? match : { kind: 'replayed' };
  }
  return match;
}

/** RFC 4648 §6, without padding: how secrets are typed into apps. */
export function base32(bytes: Uint8Array): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = 0;
  let held = 0;
  let text = '';
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + (alphabet[(held << (5 - bits)) & 31] ?? '');
}

/** What an app reads, as link or QR code (Key Uri Format). */
export function totpUri(secret: Uint8Array, { issuer, username }: { issuer: string; username: string }): string {
  const query = new URLSearchParams({ secret: base32(secret), issuer, period: '30', digits: '6' });
  return `otpauth://totp/${encodeURIComponent(issuer)}:${encodeURIComponent(username)}?${query}`;
}
