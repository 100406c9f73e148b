/** A certificate for `localhost` that signs itself (RFC 5280), for the tests of TLS: DER by hand, since nothing here depends on a library that writes certificates. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  text: 0x0c,
  time: 0x17,
  sequence: 0x30,
  set: 0x31,
};
const oid = {
  commonName: Buffer.from('0603550403', 'hex'),
  basicConstraints: Buffer.from('0603551d13', 'hex'),
  subjectAltName: Buffer.from('0603551d11', 'hex'),
  ecdsaWithSha256: Buffer.from('06082a8648ce3d040302', 'hex'),
};

function der(type: number, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([type, ...size]), body]);
}

/** Good from a minute ago for an hour. */
export function selfSigned(): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = der(tag.sequence, der(tag.set, der(tag.sequence, oid.commonName, der(tag.text, 'watchglass test'))));
  const algorithm = der(tag.sequence, oid.ecdsaWithSha256);
  const body = der(
    tag.sequence,
    der(0xa0, der(tag.integer, Buffer.from([2]))),
    der(tag.integer, Buffer.from([0x01]), randomBytes(8)),
    algorithm,
    name,
    der(tag.sequence, time(-60_000), time(3_600_000)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      der(
        tag.sequence,
        extension(oid.basicConstraints, der(tag.sequence, der(tag.boolean, Buffer.from([0xff])))),
        extension(oid.subjectAltName, der(tag.sequence, der(0x82, 'localhost'))),
      ),
    ),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = der(tag.sequence, body, algorithm, der(tag.bits, Buffer.from([0]), signature));
  const lines = certificate.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd();
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function extension(id: Uint8Array, value: Uint8Array): Buffer {
  return der(tag.sequence, id, der(tag.octets, value));
}

/** UTCTime: YYMMDDHHMMSSZ. */
function time(fromNowMs: number): Buffer {
  const text = new Date(Date.now() + fromNowMs).toISOString();
  return der(tag.time, `${text.slice(2, 19).replaceAll(/[^\d]/g, '')}Z`);
}
