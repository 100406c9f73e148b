/**
 * The keys that sign a log's checkpoints (docs/format.md, "Checkpoint keys"): what `vkey` says, the statements by which keys came, and the key that was
 * pinned, followed to the one that signs now. Statements are signed by the key of their epoch too, so seals come before them.
 */
import { tryDecodeUtf8 } from '../bytes.ts';
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../checkpoint.ts';
import { parseNumberName, rotationFileName } from '../codec/names.ts';
import { RecordError } from '../errors.ts';
import { loopFault, rotationFaults } from '../key-chain.ts';
import { openNote, splitNote } from '../note.ts';
import { formatVerifierKey, parseVerifierKey, sameKey, type Verifier } from '../note-key.ts';
import { fateOf, parseRotation, type Rotation } from '../rotation.ts';
import type { SealedEpochs } from './seal-check.ts';
import type { StatementCheck } from './tenant-check.ts';
import type { StatedRoot } from './tree-check.ts';

export interface PlacedRotation {
  readonly rotation: Rotation;
  readonly bytes: Uint8Array;
  readonly place: string;
}

export interface LogKeys {
  /** All of them sign the checkpoint, in this order; empty where there is no key to believe. */
  readonly signing: readonly Verifier[];
  /** May have signed besides, in the middle of a change: what the newest key replaced. */
  readonly besides: readonly Verifier[];
  /** Every Ed25519 key the log had. */
  readonly all: readonly Verifier[];
}

const keysMax = 3;

/** The statements from the first on, as far as they follow each other and can be read; nothing verified. */
export async function readRotations({ files, ledgerDir, tenant, findings }: StatementCheck): Promise<PlacedRotation[]> {
  const numbers: number[] = [];
  for (const name of await files.list(`${ledgerDir}/${tenant}/rotations`)) {
    const number = parseNumberName(name);
    if (number === undefined || number === 0)
      findings.add('file-unknown', `${tenant}/rotations/${name}`, 'it is not a statement on a checkpoint key');
    else numbers.push(number);
  }
  numbers.sort((a, b) => a - b);
  const chain: PlacedRotation[] = [];
  for (const number of numbers) {
    const place = `${tenant}/${rotationFileName(number)}`;
    const bytes = number === chain.length + 1 ? await files.readFile(`${ledgerDir}/${place}`) : undefined;
    if (bytes === undefined) {
      findings.add('rotation-missing', place, `expected statement ${chain.length + 1} on a checkpoint key`);
      return chain;
    }
    try {
      const rotation = parseRotation(bytes);
      if (rotation.number !== number)
        throw new RecordError('rotation-malformed', `expected statement ${number}, got ${rotation.number}`);
      chain.push({ rotation, bytes, place });
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      findings.add('rotation-malformed', place, error.message);
      return chain;
    }
  }
  return chain;
}

/** The keys in `vkey`, first the newest; undefined where it has none to believe. */
export async function readVkeys({
  files,
  ledgerDir,
  tenant,
  log,
  findings,
}: StatementCheck): Promise<Verifier[] | undefined> {
  const place = `${tenant}/vkey`;
  const bytes = await files.readFile(`${ledgerDir}/${place}`);
  if (bytes === undefined) {
    findings.add('file-missing', place, 'the verifier key is missing');
    return undefined;
  }
  const text = tryDecodeUtf8(bytes) ?? '';
  try {
    const lines = text.split('\n', keysMax + 2);
    if (lines.pop() !== '' || lines.length === 0 || lines.length > keysMax)
      throw new RecordError('key-invalid', `expected 1 to ${keysMax} verifier keys, a line each`);
    const keys = lines.map(parseVerifierKey);
    if (keys.some(({ name }) => name !== log.origin) || keys[0]?.type !== 1 || keys.some(({ type }) => type === 4))
      throw new RecordError('key-invalid', `expected verifier keys of ${log.origin}, the first of Ed25519`);
    return keys;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    findings.add('key-mismatch', place, error.message);
    return undefined;
  }
}

/** Checks the statements, and says which keys count. */
export function checkKeys(
  check: StatementCheck,
  given: {
    readonly vkeys: readonly Verifier[] | undefined;
    readonly rotations: readonly PlacedRotation[];
    readonly epochs: SealedEpochs;
  },
): LogKeys {
  const { vkeys, rotations, epochs } = given;
  let before: PlacedRotation | undefined;
  let old = rotations[0]?.rotation.old;
  let replacement: Rotation | undefined;
  let second: Verifier | undefined;
  const earlier: Rotation[] = [];
  let secondBefore: Verifier | undefined;
  for (const placed of rotations) {
    checkLink(check, placed, before, epochs);
    const { rotation, place } = placed;
    const loop = loopFault(rotation, earlier);
    if (loop !== undefined) check.findings.add('rotation-forged', place, loop);
    earlier.push(rotation);
    if (old !== undefined && !sameKey(rotation.old, old))
      check.findings.add('rotation-forged', place, 'it replaces another key than the one that signed until then');
    if (rotation.kind === 'added') {
      secondBefore = second;
      second = rotation.next;
    } else {
      replacement = rotation;
      old = rotation.next;
    }
    before = placed;
  }
  const pinned = check.pinnedKey === undefined ? undefined : parseVerifierKey(check.pinnedKey);
  const current = old ?? (pinned?.type === 1 ? pinned : vkeys?.[0]);
  const overlap = replacement?.kind === 'planned' ? replacement.old : undefined;
  checkListed(check, { vkeys, current, overlap, second, secondBefore, replacement });
  const all = rotations.flatMap(({ rotation }) => (rotation.kind === 'added' ? [] : [rotation.old]));
  const believed = followPin(check, pinned, { rotations, current, second });
  if (believed !== undefined) return { signing: [believed], besides: [], all: [believed] };
  if (current === undefined) return { signing: [], besides: [], all };
  const listed = (vkeys ?? []).filter((key) => isOneOf(key, [current, overlap, second, replacement?.old]));
  return {
    signing: listed.length === 0 ? [current] : listed,
    besides: [current, replacement?.old, second].filter((key) => key !== undefined),
    all: [...all, current],
  };
}

export function rotationRoots(rotations: readonly PlacedRotation[]): StatedRoot[] {
  return rotations.map(({ rotation: { size, root, number }, place }) => ({
    size,
    root,
    place,
    who: `statement ${number} on a checkpoint key`,
  }));
}

function checkLink(
  { log, findings }: StatementCheck,
  { rotation, bytes, place }: PlacedRotation,
  before: PlacedRotation | undefined,
  epochs: SealedEpochs,
): void {
  const sealed = epochs.find(rotation.epoch - 1)?.seal;
  const end = epochs.find(rotation.epoch)?.seal.size;
  for (const fault of rotationFaults({ origin: log.origin, rotation, bytes, before }, { sealed, end }))
    findings.add('rotation-forged', place, fault);
}

/** `vkey` must list what the statements say, and no more. */
function checkListed(
  { findings, tenant }: StatementCheck,
  keys: {
    readonly vkeys: readonly Verifier[] | undefined;
    readonly current: Verifier | undefined;
    readonly overlap: Verifier | undefined;
    readonly second: Verifier | undefined;
    /** The one it took the place of. */
    readonly secondBefore: Verifier | undefined;
    readonly replacement: Rotation | undefined;
  },
): void {
  const { vkeys, current, overlap, second, secondBefore, replacement } = keys;
  if (vkeys === undefined || current === undefined) return;
  const place = `${tenant}/vkey`;
  const [first, ...others] = vkeys;
  if (first !== undefined && !sameKey(first, current)) {
    if (replacement !== undefined && sameKey(first, replacement.old))
      findings.add(
        replacement.kind === 'compromised' ? 'key-revoked' : 'rotation-unfinished',
        place,
        `it still names the key that statement ${replacement.number} replaced: start the server once, which finishes the change; if that was done, older files were put back`,
      );
    else
      findings.add(
        'key-mismatch',
        place,
        'the key beside the log is not the one that its statements, or the pinned key, lead to',
      );
    return;
  }
  const lacksSecond = second !== undefined && !isOneOf(second, others);
  if (lacksSecond)
    findings.add(
      'rotation-unfinished',
      place,
      'it lacks the second key that a statement added: start the server once, which finishes the change; if that was done, older files were put back',
    );
  // Until the change is finished the one before it is listed.
  const allowed = [overlap, lacksSecond ? secondBefore : second].filter((key) => key !== undefined);
  const listed = others.filter((key) => isOneOf(key, allowed));
  const inOrder = allowed.filter((key) => isOneOf(key, others));
  if (listed.length !== others.length || others.some((key, at) => !isOneOf(key, [inOrder[at]])))
    findings.add('key-mismatch', place, 'it lists a key that no statement brought, or lists keys out of order');
}

/** @returns the pinned key, where it is none of this log's: then nothing else is believed */
function followPin(
  { findings, notes, tenant }: StatementCheck,
  pinned: Verifier | undefined,
  log: {
    readonly rotations: readonly PlacedRotation[];
    readonly current: Verifier | undefined;
    readonly second: Verifier | undefined;
  },
): Verifier | undefined {
  const { rotations, current, second } = log;
  if (pinned === undefined || current === undefined) return undefined;
  const place = `${tenant}/vkey`;
  if (pinned.type === 6) {
    if (second !== undefined && sameKey(pinned, second)) return undefined;
    findings.add('key-mismatch', place, 'the pinned ML-DSA-44 key is none of this log');
    return undefined;
  }
  const fate = fateOf(
    pinned,
    rotations.map(({ rotation }) => rotation),
    current,
  );
  switch (fate.kind) {
    case 'current':
      return undefined;
    case 'replaced':
      notes.push(
        `the pinned key of ${tenant} was replaced (statement ${fate.number}); it was followed to the one that signs now: pin ${formatVerifierKey(fate.by)}`,
      );
      return undefined;
    case 'revoked':
      findings.add(
        'key-revoked',
        place,
        `the pinned key, or one that took its place, was revoked as compromised at ${fate.rotation.size} leaves, and is believed up to ${fate.rotation.trusted}: ask the operator by another way than this log whether its key is now ${formatVerifierKey(current)}, and pin that`,
      );
      return undefined;
    case 'unknown':
      findings.add(
        'key-mismatch',
        place,
        'the key beside the log is not the pinned one, and no statement leads from one to the other',
      );
      return pinned;
    default:
      return fate satisfies never;
  }
}

/** The checkpoint, where every key that must have signed it has, in order, and nothing else is in it. */
export function checkCheckpoint(
  { tenant, log, findings, notes }: StatementCheck,
  keys: LogKeys,
  text: string | undefined,
): Checkpoint | undefined {
  const place = `${tenant}/checkpoint`;
  if (text === undefined) {
    findings.add('file-missing', place, 'the checkpoint is missing or not text');
    return undefined;
  }
  if (keys.signing.length === 0) return undefined;
  try {
    const note = openNote(text, [...keys.signing, ...keys.besides]);
    const checkpoint = parseCheckpoint(note.text);
    if (checkpoint.origin !== log.origin)
      throw new RecordError('origin-mismatch', `expected the checkpoint of ${log.origin}, got that of another log`);
    const signed = splitNote(text).signatures;
    const wanted = keys.signing.map(({ keyId }) => keyId);
    const listed = signed.filter(({ keyId }) => wanted.includes(keyId)).map(({ keyId }) => keyId);
    if (
      listed.length !== wanted.length ||
      listed.some((keyId, at) => keyId !== wanted[at]) ||
      // In the middle of a change the key that comes or goes may have signed too.
      signed.length > wanted.length + 1 ||
      signed.length !== note.signatures.length + note.unchecked.length ||
      formatCheckpoint(checkpoint) !== note.text ||
      checkpoint.extensions.length > 0
    ) {
      throw new RecordError(
        'checkpoint-malformed',
        `expected ${keys.signing.length === 1 ? 'one signature, by the key of the log' : `${keys.signing.length} signatures, by the keys of the log in their order`}, and no lines besides`,
      );
    }
    if (note.unchecked.length > 0)
      notes.push(
        `the ML-DSA-44 signature of ${tenant} was not checked: this platform can't; its Ed25519 signature was`,
      );
    return checkpoint;
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    findings.add('checkpoint-invalid', place, error.message);
    return undefined;
  }
}

function isOneOf(key: Verifier, keys: readonly (Verifier | undefined)[]): boolean {
  return keys.some((known) => known !== undefined && sameKey(known, key));
}
