/**
 * A certificate authority of one use and the certificate it signs (RFC 5280): ECDSA P-256 with SHA-256, for TLS servers on the
 * names given. The authority's key exists only inside the call.
 */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

export interface MadeCertificate {
  /** PEM. */
  readonly ca: string;
  readonly cert: string;
  /** PKCS #8 PEM: 0600 wherever it is written. */
  readonly key: string;
}

export interface CertificateRequest {
  /** Common name of the server's certificate. */
  readonly name: string;
  readonly dnsNames: readonly string[];
  /** IPv4 or IPv6. */
  readonly addresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export async function makeCertificate(request: CertificateRequest): Promise<MadeCertificate> {
  const { notBefore, notAfter } = request;
  const authority = await makeKeys();
  const server = await makeKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    // Two authorities in one trust store are told apart by their names.
    name: `CN=Watchglass local CA ${await shortName(authority.publicKey)}`,
    serialNumber: serialNumber(),
    notBefore,
    notAfter,
    keys: authority,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  const cert = await x509.X509CertificateGenerator.create({
    subject: `CN=${request.name}`,
    issuer: ca.subject,
    serialNumber: serialNumber(),
    notBefore,
    notAfter,
    publicKey: server.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...request.dnsNames.map((value) => ({ type: 'dns' as const, value })),
        ...request.addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(server.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  const key = await crypto.subtle.exportKey('pkcs8', server.privateKey);
  return {
    ca: `${ca.toString('pem')}\n`,
    cert: `${cert.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
  };
}

async function makeKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function shortName(key: CryptoKey): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await crypto.subtle.exportKey('spki', key));
  return Buffer.from(digest).toString('hex', 0, 4);
}

/** Positive, and of one length: RFC 5280 §4.1.2.2. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(Buffer.alloc(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
