/**
 * Timestamps of others over a checkpoint (RFC 3161): the request, and the verification of what came (a CMS SignedData, RFC 5652, around a TSTInfo). What is stamped is
 * the SHA-256 of the checkpoint's text, so that a verifier can derive it again from the tree; `openssl ts -verify` checks the same file.
 *
 * Verified: the status, the imprint, the nonce where it is known, one signer, the digest and the signature over the signed attributes, that these name the signer's
 * certificate, that it may stamp times, and that it was valid at the time. Who it belongs to is known only with trusted roots.
 */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { LedgerError } from '../errors.ts';
import { childrenOf, type Der, encodeDer, encodeOid, expectTag, oidOf, readDer, tags, timeOf } from './der.ts';

export interface Timestamp {
  /** What the authority says, ms since 1970. */
  readonly timeMs: number;
  /** Subject of the certificate that signed. */
  readonly authority: string;
  /** Whether it leads to one of the roots given. */
  readonly trusted: boolean;
}

const oids = {
  signedData: '1.2.840.113549.1.7.2',
  tstInfo: '1.2.840.113549.1.9.16.1.4',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingCertificate: '1.2.840.113549.1.9.16.2.12',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  timeStamping: '1.3.6.1.5.5.7.3.8',
} as const;

const digests: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** Of signatures that name their digest; `rsaEncryption` doesn't. */
const signatureDigests: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
};
const rsaEncryption = '1.2.840.113549.1.1.1';
const chainMax = 8;

/** A TimeStampReq for these bytes; `nonce` comes back in the answer. */
export function timestampRequest(message: Uint8Array, nonce: Uint8Array): Uint8Array {
  const imprint = encodeDer(
    tags.sequence,
    encodeDer(tags.sequence, encodeOid('2.16.840.1.101.3.4.2.1'), Uint8Array.of(0x05, 0x00)),
    encodeDer(tags.octetString, sha256(message)),
  );
  return encodeDer(
    tags.sequence,
    encodeDer(tags.integer, Uint8Array.of(1)),
    imprint,
    encodeDer(tags.integer, Uint8Array.of(0x01, ...nonce)),
    encodeDer(tags.boolean, Uint8Array.of(0xff)),
  );
}

export interface TimestampExpectation {
  readonly message: Uint8Array;
  /** Of the request, where it is still known. */
  readonly nonce?: Uint8Array;
  /** Certificates to trust; the signer must lead to one of them where any is given. */
  readonly roots?: readonly X509Certificate[];
}

/**
 * Verifies a TimeStampResp.
 *
 * @throws LedgerError `timestamp-refused` where the authority gave none, `timestamp-invalid` for everything else
 */
export function openTimestamp(response: Uint8Array, { message, nonce, roots = [] }: TimestampExpectation): Timestamp {
  const signed = signedDataOf(response);
  const info = infoOf(signed.content);
  if (!same(info.imprint, sha256(message)) || info.digest !== 'sha256')
    throw invalid('it is over something else than this checkpoint');
  if (nonce !== undefined && !same(info.nonce, Uint8Array.of(0x01, ...nonce)))
    throw invalid('it does not answer this request');
  const attributes = attributesOf(signed.signer);
  const certificate = certificateOf(signed, attributes);
  checkSignature(signed, attributes, certificate);
  checkUse(certificate, info.timeMs);
  const trusted = roots.length > 0 && leadsTo(certificate, signed.certificates, roots, info.timeMs);
  if (roots.length > 0 && !trusted) throw invalid('its certificate does not lead to a trusted root');
  return { timeMs: info.timeMs, authority: certificate.subject.replaceAll('\n', ', '), trusted };
}

/** The time that a response states; nothing of it is verified. @throws LedgerError `timestamp-invalid`, `timestamp-refused` */
export function statedTime(response: Uint8Array): number {
  return infoOf(signedDataOf(response).content).timeMs;
}

interface Signed {
  /** The TSTInfo, DER. */
  readonly content: Uint8Array;
  readonly certificates: readonly X509Certificate[];
  readonly signer: Signer;
}

interface Signer {
  readonly id: Der;
  readonly digest: string;
  readonly attributes: Der;
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

/** RFC 3161 §2.4.2 and RFC 5652 §5.1. */
function signedDataOf(response: Uint8Array): Signed {
  const [status, token] = childrenOf(expectTag(readDer(response), tags.sequence));
  const granted = expectTag(childrenOf(expectTag(status, tags.sequence))[0], tags.integer).content;
  if (granted.length !== 1 || (granted[0] as number) > 1)
    throw new LedgerError('timestamp-refused', `the authority gave no timestamp: status ${granted.join('.')}`);
  const [type, wrapped] = childrenOf(expectTag(token, tags.sequence));
  if (oidOf(type) !== oids.signedData) throw invalid('the token is no signed data');
  const data = childrenOf(expectTag(childrenOf(expectTag(wrapped, 0xa0))[0], tags.sequence));
  const [contentType, content] = childrenOf(expectTag(data[2], tags.sequence));
  if (oidOf(contentType) !== oids.tstInfo) throw invalid('what is signed is no timestamp');
  const signers = childrenOf(expectTag(data.at(-1), tags.set));
  if (signers.length !== 1) throw invalid(`expected one signer, got ${signers.length}`);
  const certificates = data.find(({ tag }) => tag === 0xa0);
  return {
    content: expectTag(childrenOf(expectTag(content, 0xa0))[0], tags.octetString).content,
    certificates: certificates === undefined ? [] : childrenOf(certificates).map(({ bytes }) => x509(bytes)),
    signer: signerOf(signers[0] as Der),
  };
}

function signerOf(info: Der): Signer {
  const [, id, digest, attributes, algorithm, signature] = childrenOf(expectTag(info, tags.sequence));
  return {
    id: expectTag(id, tags.sequence),
    digest: digestOf(digest),
    attributes: expectTag(attributes, 0xa0),
    algorithm: oidOf(childrenOf(expectTag(algorithm, tags.sequence))[0]),
    signature: expectTag(signature, tags.octetString).content,
  };
}

interface Info {
  readonly digest: string;
  readonly imprint: Uint8Array;
  readonly timeMs: number;
  readonly nonce: Uint8Array | undefined;
}

function infoOf(content: Uint8Array): Info {
  const [, , imprint, , time, ...more] = childrenOf(expectTag(readDer(content), tags.sequence));
  const [algorithm, hash] = childrenOf(expectTag(imprint, tags.sequence));
  return {
    digest: digestOf(algorithm),
    imprint: expectTag(hash, tags.octetString).content,
    timeMs: timeOf(time),
    nonce: more.find(({ tag }) => tag === tags.integer)?.content,
  };
}

function attributesOf({ attributes }: Signer): ReadonlyMap<string, Der> {
  const found = new Map<string, Der>();
  for (const attribute of childrenOf(attributes)) {
    const [type, values] = childrenOf(expectTag(attribute, tags.sequence));
    const [value, another] = childrenOf(expectTag(values, tags.set));
    const name = oidOf(type);
    if (value === undefined || another !== undefined || found.has(name))
      throw invalid('expected each signed attribute once, with one value');
    found.set(name, value);
  }
  return found;
}

/** The certificate that the signed attributes name (RFC 5035), and that the signer is identified by. */
function certificateOf({ certificates, signer }: Signed, attributes: ReadonlyMap<string, Der>): X509Certificate {
  const second = attributes.get(oids.signingCertificateV2);
  const named = second ?? attributes.get(oids.signingCertificate);
  const ids = childrenOf(expectTag(named, tags.sequence))[0];
  const parts = childrenOf(expectTag(childrenOf(expectTag(ids, tags.sequence))[0], tags.sequence));
  const algorithm = second === undefined ? 'sha1' : parts[0]?.tag === tags.sequence ? digestOf(parts[0]) : 'sha256';
  const hash = expectTag(
    parts.find(({ tag }) => tag === tags.octetString),
    tags.octetString,
  ).content;
  const certificate = certificates.find(({ raw }) => same(createHash(algorithm).update(raw).digest(), hash));
  if (certificate === undefined) throw invalid('it does not bring the certificate that it names');
  const [issuer, serial] = childrenOf(signer.id);
  const own = issuerAndSerial(certificate);
  if (!same(issuer?.bytes, own.issuer) || !same(serial?.bytes, own.serial))
    throw invalid('its signer is another than the certificate it names');
  return certificate;
}

function issuerAndSerial({ raw }: X509Certificate): { readonly issuer: Uint8Array; readonly serial: Uint8Array } {
  const [body] = childrenOf(readDer(raw));
  const fields = childrenOf(expectTag(body, tags.sequence)).filter(({ tag }) => tag !== 0xa0);
  return {
    serial: expectTag(fields[0], tags.integer).bytes,
    issuer: expectTag(fields[2], tags.sequence).bytes,
  };
}

function checkSignature(
  { content, signer }: Signed,
  attributes: ReadonlyMap<string, Der>,
  { publicKey }: X509Certificate,
): void {
  if (oidOf(attributes.get(oids.contentType)) !== oids.tstInfo) throw invalid('its attributes are of another content');
  const digest = expectTag(attributes.get(oids.messageDigest), tags.octetString).content;
  if (!same(digest, createHash(signer.digest).update(content).digest())) throw invalid('its content was changed');
  // RFC 5652 §5.4: what is signed is the attributes as a SET, not as the [0] they stand under.
  const message = Uint8Array.from(signer.attributes.bytes);
  message[0] = tags.set;
  const algorithm = signer.algorithm === rsaEncryption ? signer.digest : signatureDigests[signer.algorithm];
  if (algorithm === undefined) throw invalid(`its signature algorithm ${signer.algorithm} is not one of those known`);
  let good = false;
  try {
    good = verify(algorithm, message, publicKey, signer.signature);
  } catch {
    // A key of another kind than the algorithm.
  }
  if (!good) throw invalid('its signature does not verify');
}

/** RFC 3161 §2.3: the certificate is for stamping times. */
function checkUse(certificate: X509Certificate, timeMs: number): void {
  // Node calls the extended key usage `keyUsage`.
  if (certificate.keyUsage?.includes(oids.timeStamping) !== true)
    throw invalid('its certificate is not for timestamps');
  if (!wasValid(certificate, timeMs)) throw invalid('its certificate was not valid at that time');
}

function wasValid({ validFromDate, validToDate }: X509Certificate, timeMs: number): boolean {
  return validFromDate.getTime() <= timeMs && timeMs <= validToDate.getTime();
}

function leadsTo(
  certificate: X509Certificate,
  brought: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  timeMs: number,
): boolean {
  let at = certificate;
  for (let steps = 0; steps < chainMax; steps++) {
    if (roots.some(({ raw }) => same(raw, at.raw))) return true;
    const issuedBy = (one: X509Certificate): boolean =>
      one.ca && wasValid(one, timeMs) && at.checkIssued(one) && at.verify(one.publicKey);
    if (roots.some(issuedBy)) return true;
    const next = brought.find((one) => !same(one.raw, at.raw) && issuedBy(one));
    if (next === undefined) return false;
    at = next;
  }
  return false;
}

function digestOf(algorithm: Der | undefined): string {
  const oid = oidOf(childrenOf(expectTag(algorithm, tags.sequence))[0]);
  const digest = digests[oid];
  if (digest === undefined) throw invalid(`its digest ${oid} is not one of those known`);
  return digest;
}

function x509(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new LedgerError('timestamp-invalid', 'the timestamp brings a certificate that cannot be read', {}, cause);
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}

function invalid(why: string): LedgerError {
  return new LedgerError('timestamp-invalid', `the timestamp does not hold: ${why}`);
}
