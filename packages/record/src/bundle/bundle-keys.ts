/**
 * Under which keys the checkpoint of a bundle counts: those that the bundle names, and, of them, the one that was given, or that the log's statements lead to from the
 * one that was given. A signature that this platform can't check is named as that, and counts for nothing.
 */
import { encodeUtf8 } from '../bytes.ts';
import { type Checkpoint, parseCheckpoint } from '../checkpoint.ts';
import { RecordError } from '../errors.ts';
import { fateInChain, type KeyChain, openKeyChain } from '../key-chain.ts';
import { openNote, splitNote, type VerifiedSignature } from '../note.ts';
import { formatVerifierKey, parseVerifierKey, sameKey, type Verifier } from '../note-key.ts';
import type { Rotation } from '../rotation.ts';
import { messageOf, type Read, type Tell } from './checking.ts';
import type { BundleContents } from './contents.ts';

export interface SignedBundle {
  readonly checkpoint?: Checkpoint;
  /** By keys that are believed. */
  readonly signatures: readonly VerifiedSignature[];
  /** By keys of the log that this platform can't check. */
  readonly unchecked: readonly VerifiedSignature[];
  /** Where the key that was given is an older one: the rotations that lead from it to the one that signs. */
  readonly followed: readonly Rotation[];
  /** Whether the key that was given, or one it leads to, was checked. */
  readonly isPinned: boolean;
  /** What may have signed the cosigned checkpoint: every key the log names, and those it had. */
  readonly logKeys: readonly string[];
  readonly chain: KeyChain | undefined;
}

/** The checkpoint is of this log, and each signature on it is one by a key of the log that the bundle names. */
export function checkSigned({ contents, proof }: Read, given: string | undefined, tell: Tell): SignedBundle {
  const place = 'proof.checkpoint';
  const keys = namedKeys(contents, tell);
  const chain = openChain(contents, keys, tell);
  const { believed, followed } =
    given === undefined ? { believed: keys, followed: [] } : followGiven(given, { keys, chain, tell });
  const logKeys = [
    ...new Set([...keys, ...(chain?.rotations ?? []).flatMap(({ old, next }) => [old, next].map(formatVerifierKey))]),
  ];
  const common = { followed, logKeys, chain };
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = parseCheckpoint(proof.checkpoint);
    if (checkpoint.origin !== contents.origin) tell('checkpoint-invalid', place, 'the checkpoint is of another log');
    const { signatures, unchecked } = openNote(proof.checkpoint, keys);
    if (signatures.length + unchecked.length !== splitNote(proof.checkpoint).signatures.length)
      tell('checkpoint-invalid', place, 'a signature is by a key that the bundle does not name, or stands there twice');
    const isBelieved = ({ name, keyId }: VerifiedSignature): boolean =>
      believed.some((key) => {
        const verifier = parseVerifierKey(key);
        return verifier.name === name && verifier.keyId === keyId;
      });
    const counted = signatures.filter(isBelieved);
    if (given !== undefined && counted.length === 0 && !unchecked.some(isBelieved))
      throw new RecordError('note-unverified', 'the key that was given did not sign it');
    return {
      ...common,
      checkpoint,
      signatures: counted,
      unchecked,
      isPinned: given !== undefined && counted.length > 0,
    };
  } catch (error) {
    tell('checkpoint-invalid', place, messageOf(error));
    return {
      ...common,
      ...(checkpoint === undefined ? {} : { checkpoint }),
      signatures: [],
      unchecked: [],
      isPinned: false,
    };
  }
}

function namedKeys({ vkeys, origin }: BundleContents, tell: Tell): string[] {
  if (vkeys.length === 0) tell('key-invalid', 'contents.vkeys', 'expected the verifier key of the log');
  return vkeys.filter((vkey) => {
    try {
      if (parseVerifierKey(vkey).name === origin) return true;
      tell('key-invalid', 'contents.vkeys', 'a verifier key is of another log');
    } catch (error) {
      tell('key-invalid', 'contents.vkeys', messageOf(error));
    }
    return false;
  });
}

/** The statements on the log's keys, where the bundle has some: they lead to the key that it names. */
function openChain({ origin, statements }: BundleContents, keys: readonly string[], tell: Tell): KeyChain | undefined {
  const [first] = keys;
  if (statements === undefined || first === undefined) return undefined;
  const place = 'contents.statements';
  if (statements.rotations.length === 0) {
    if (statements.seals.length > 0) tell('key-chain-invalid', place, 'expected no seals without statements on keys');
    return undefined;
  }
  try {
    const [rotations, seals] = [statements.rotations.map(encodeUtf8), statements.seals.map(encodeUtf8)];
    const chain = openKeyChain({ origin, rotations, seals }, { key: parseVerifierKey(first) });
    if (!keys.includes(formatVerifierKey(chain.current)))
      tell('key-chain-invalid', place, 'the statements lead to a key that the bundle does not name');
    return chain;
  } catch (error) {
    tell('key-chain-invalid', place, messageOf(error));
    return undefined;
  }
}

/** Which of the keys named counts for who has the given one. */
function followGiven(
  given: string,
  {
    keys,
    chain,
    tell,
  }: { readonly keys: readonly string[]; readonly chain: KeyChain | undefined; readonly tell: Tell },
): { readonly believed: readonly string[]; readonly followed: readonly Rotation[] } {
  const pinned = parseVerifierKey(given);
  const fate = chain === undefined || pinned.type !== 1 ? undefined : fateInChain(pinned, chain);
  if (fate?.kind === 'revoked') {
    const { number, trusted } = fate.rotation;
    tell(
      'key-revoked',
      'contents.statements',
      `statement ${number} of the log says that the key that was given was stolen: it is believed up to ${trusted} events. Ask its owner, by another way than this file, for the key of today`,
    );
  }
  if (keys.includes(given)) return { believed: [given], followed: [] };
  if (fate?.kind === 'replaced' && chain !== undefined)
    return { believed: [formatVerifierKey(fate.by)], followed: rotationsFrom(pinned, chain) };
  if (fate?.kind !== 'revoked')
    tell(
      'key-mismatch',
      'contents.vkeys',
      'the verifier key that was given is not among those of the bundle, and no statement leads from it to one',
    );
  return { believed: [], followed: [] };
}

function rotationsFrom(key: Verifier, { rotations }: KeyChain): readonly Rotation[] {
  const replacing = rotations.filter(({ kind }) => kind !== 'added');
  return replacing.slice(replacing.findIndex(({ old }) => sameKey(old, key)));
}
