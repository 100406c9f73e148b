/**
 * The sections of `gateway.yaml` about certificates: `tls`, and `upstream.cert` with its key. What is named is read here; a pair that doesn't fit stops the
 * start, one that is over does not.
 */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { type CertificateFiles, type CertificateMaterial, judgeCertificate } from '../identity/own-certificate.ts';
import type { TlsFiles } from '../passage/listener.ts';
import type { ConfigFiles } from './identity.ts';

/** As it stands in the file. */
export interface TlsSection {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string | undefined;
  readonly clientAuth: 'off' | 'request' | 'require';
  readonly reloadEveryMs: number;
}

export const tlsSchema: z.ZodType<TlsSection> = z.strictObject({
  cert: z.string(),
  key: z.string(),
  clientCa: z.string().optional(),
  clientAuth: z.enum(['off', 'request', 'require']).default('off'),
  reloadEveryMs: z.int().min(10).max(3_600_000).default(10_000),
});

export interface TlsConfig extends TlsFiles {
  readonly files: CertificateFiles;
  readonly reloadEveryMs: number;
}

export interface UpstreamCertificate {
  readonly current: CertificateMaterial;
  readonly files: CertificateFiles;
}

export function readTls(tls: TlsSection, files: ConfigFiles): TlsConfig {
  const { cert, key, clientCa, clientAuth, reloadEveryMs } = tls;
  if ((clientCa === undefined) !== (clientAuth === 'off')) {
    throw new GatewayError(
      'config-invalid',
      `${files.file}: tls: expected clientCa together with clientAuth: request or require, got one of both`,
    );
  }
  const paths = pathsOf({ cert, key, ca: clientCa }, files);
  return { ...readPair({ cert, key, ca: clientCa }, 'tls', files), clientAuth, files: paths, reloadEveryMs };
}

export function readUpstreamCertificate(
  { cert, key }: { readonly cert?: string | undefined; readonly key?: string | undefined },
  section: string,
  files: ConfigFiles,
): UpstreamCertificate | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new GatewayError('config-invalid', `${files.file}: ${section}: expected cert and key, got one of both`);
  }
  return { current: readPair({ cert, key }, section, files), files: pathsOf({ cert, key }, files) };
}

function pathsOf({ cert, key, ca }: CertificateFiles, { from }: ConfigFiles): CertificateFiles {
  return { cert: from(cert), key: from(key), ...(ca === undefined ? {} : { ca: from(ca) }) };
}

function readPair({ cert, key, ca }: CertificateFiles, section: string, files: ConfigFiles): CertificateMaterial {
  const material = {
    cert: files.read(cert, `${section}.cert`),
    key: files.read(key, `${section}.key`),
    ...(ca === undefined ? {} : { ca: files.read(ca, `${section}.clientCa`) }),
  };
  const judged = judgeCertificate(material, Date.now());
  // One that is over is shown all the same: clients, readiness and metrics tell everybody, and a start that fails would tell less.
  if (judged.kind === 'refused' && (judged.fault === 'unreadable' || judged.fault === 'not-a-pair')) {
    throw new GatewayError(
      'config-invalid',
      `${files.file}: ${section}: expected a certificate and the key that belongs to it, got ${judged.fault}; check both files`,
    );
  }
  return material;
}
