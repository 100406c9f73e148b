/** What a cosigner signs (c2sp.org/tlog-cosignature): the checkpoint's text after a time, or a structure of what the checkpoint says. */
import { concatBytes, encodeUtf8, tryDecodeBase64, tryDecodeUtf8 } from './bytes.ts';

const nameBytesMax = 255;
const sizeMax = 0xffff_ffff_ffff_ffffn;

/** c2sp.org/tlog-cosignature, "Ed25519 signed message". */
export function ed25519CosignedMessage(timeSeconds: bigint, message: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8(`cosignature/v1\ntime ${timeSeconds}\n`), message);
}

/**
 * c2sp.org/tlog-cosignature, "ML-DSA-44 signed message", of a whole tree. Extension lines of the checkpoint are not part of it.
 *
 * @returns undefined where the note's text is no checkpoint
 */
export function mlDsa44CosignedMessage(
  by: { readonly cosigner: string; readonly timeSeconds: bigint },
  message: Uint8Array,
): Uint8Array | undefined {
  const [origin = '', size = '', root = ''] = (tryDecodeUtf8(message) ?? '').split('\n');
  const hash = tryDecodeBase64(root);
  const cosigner = encodeUtf8(by.cosigner);
  const log = encodeUtf8(origin);
  if (!/^(0|[1-9][0-9]{0,19})$/.test(size) || BigInt(size) > sizeMax || hash?.length !== 32) return undefined;
  if (log.length === 0 || log.length > nameBytesMax || cosigner.length > nameBytesMax) return undefined;
  return concatBytes(
    encodeUtf8('subtree/v1\n\0'),
    Uint8Array.of(cosigner.length),
    cosigner,
    u64(by.timeSeconds),
    Uint8Array.of(log.length),
    log,
    u64(0n),
    u64(BigInt(size)),
    hash,
  );
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
