/**
 * Certificates for this machine, in files: a local CA's, and one for localhost, 127.0.0.1 and ::1. Kept while they belong together and
 * are good for another month; a renewal brings a new CA, since the old one's key was never written.
 */
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';

export interface CertificateFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const dayMs = 86_400_000;
const lifeDays = 365;
const renewBeforeDays = 30;

/** Makes `ca.pem`, `<who>.pem` and `<who>.key` in `dir` where they are missing or nearly over. */
export async function ensureLocalCertificates(
  dir: string,
  who: string,
  nowMs: number = Date.now(),
): Promise<CertificateFiles> {
  const files = { ca: join(dir, 'ca.pem'), cert: join(dir, `${who}.pem`), key: join(dir, `${who}.key`) };
  if (await areGood(files, nowMs)) return files;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const made = await makeCertificate({
    name: `Watchglass ${who}`,
    dnsNames: ['localhost'],
    addresses: ['127.0.0.1', '::1'],
    notBefore: new Date(nowMs - dayMs),
    notAfter: new Date(nowMs + lifeDays * dayMs),
  });
  await replaceFile(files.key, made.key, 0o600);
  await replaceFile(files.cert, made.cert, 0o644);
  await replaceFile(files.ca, made.ca, 0o644);
  return files;
}

async function areGood(files: CertificateFiles, nowMs: number): Promise<boolean> {
  try {
    const ca = new X509Certificate(await readFile(files.ca));
    const cert = new X509Certificate(await readFile(files.cert));
    await readFile(files.key);
    return cert.verify(ca.publicKey) && Date.parse(cert.validTo) - nowMs > renewBeforeDays * dayMs;
  } catch {
    // Missing or damaged is the same as over: all three are made anew.
    return false;
  }
}

async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const beside = `${path}.new`;
  await writeFile(beside, text, { mode });
  await chmod(beside, mode);
  await rename(beside, path);
}
