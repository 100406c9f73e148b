/**
 * The certificate that the gateway itself shows, and the authorities it lets vouch for clients: read again when their files change, and taken only if they
 * work. A pair that doesn't fit, or is over, is refused and told, and the one in use stays. Nothing here drops a connection.
 *
 * Files are compared by content every few seconds, since what renews certificates may replace files, links or whole directories.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

export interface CertificateMaterial {
  /** PEM, the leaf first. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the authorities whose certificates are taken from the other side. */
  readonly ca?: string | undefined;
}

/** Paths, member by member. */
export type CertificateFiles = CertificateMaterial;

export type CertificateFault = 'unreadable' | 'not-a-pair' | 'expired' | 'not-yet-valid';

export type Judged =
  | { readonly kind: 'good'; readonly expiresMs: number }
  | { readonly kind: 'refused'; readonly fault: CertificateFault };

/** TLS 1.2 with forward secrecy and authenticated encryption only, and what TLS 1.3 has (RFC 9325 §4.2). */
export const tlsRules: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  honorCipherOrder: true,
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
};

/** Can it be shown now? */
export function judgeCertificate({ cert, key, ca }: CertificateMaterial, nowMs: number): Judged {
  const refuse = (fault: CertificateFault): Judged => ({ kind: 'refused', fault });
  try {
    const leaf = new X509Certificate(cert);
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return refuse('not-a-pair');
    createSecureContext({ ...tlsRules, cert, key, ...(ca === undefined ? {} : { ca }) });
    const expiresMs = Date.parse(leaf.validTo);
    if (nowMs >= expiresMs) return refuse('expired');
    return nowMs < Date.parse(leaf.validFrom) ? refuse('not-yet-valid') : { kind: 'good', expiresMs };
  } catch {
    return refuse('unreadable');
  }
}

/** When the certificate is over; milliseconds since 1970. */
export function certificateEndMs(cert: string): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

export class WatchedCertificate implements Disposable {
  readonly #options: WatchOptions;
  readonly #timer: NodeJS.Timeout;
  #current: CertificateMaterial;
  /** What the files held when they were last looked at, good or not: each state of them is told once. */
  #seen: string;
  #checking: Promise<CertificateNews | undefined> | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#current = options.current;
    this.#seen = textOf(options.current);
    this.#timer = setInterval(() => void this.check(), options.everyMs);
    this.#timer.unref();
  }

  get expiresMs(): number {
    return certificateEndMs(this.#current.cert);
  }

  /** Looks at the files now; undefined where nothing is new. Never rejects. */
  check(): Promise<CertificateNews | undefined> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<CertificateNews | undefined> {
    const material = await readMaterial(this.#options.files);
    const seen = material === undefined ? 'unreadable' : textOf(material);
    if (seen === this.#seen) return undefined;
    this.#seen = seen;
    const news = this.#take(material);
    if (news !== undefined) this.#options.onNews(news);
    return news;
  }

  #take(material: CertificateMaterial | undefined): CertificateNews | undefined {
    const { apply, now = Date.now } = this.#options;
    if (material === undefined) return { kind: 'refused', fault: 'unreadable' };
    // The files are again what is in use.
    if (textOf(material) === textOf(this.#current)) return undefined;
    const judged = judgeCertificate(material, now());
    if (judged.kind === 'refused') return judged;
    apply(material);
    this.#current = material;
    return { kind: 'replaced', expiresMs: judged.expiresMs };
  }
}

export type CertificateNews =
  | { readonly kind: 'replaced'; readonly expiresMs: number }
  | { readonly kind: 'refused'; readonly fault: CertificateFault };

export interface WatchOptions {
  readonly files: CertificateFiles;
  readonly current: CertificateMaterial;
  readonly everyMs: number;
  /** Puts it to use for connections from now on. */
  readonly apply: (material: CertificateMaterial) => void;
  readonly onNews: (news: CertificateNews) => void;
  readonly now?: () => number;
}

async function readMaterial({ cert, key, ca }: CertificateFiles): Promise<CertificateMaterial | undefined> {
  try {
    return {
      cert: await readFile(cert, 'utf8'),
      key: await readFile(key, 'utf8'),
      ...(ca === undefined ? {} : { ca: await readFile(ca, 'utf8') }),
    };
  } catch {
    return undefined;
  }
}

function textOf({ cert, key, ca = '' }: CertificateMaterial): string {
  return `${cert}\n${key}\n${ca}`;
}
