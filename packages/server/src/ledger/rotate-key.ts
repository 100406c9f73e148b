/**
 * Changes the keys that sign a log's checkpoints (docs/format.md, "Checkpoint keys"). Runs while nothing of the log is under way, so that the
 * statement, the checkpoint and `vkey` speak of one size and root. What a kill cuts off, the next start finishes.
 */
import {
  generateMlDsaSigner,
  generateSigner,
  hashRotation,
  type Rotation,
  type RotationKind,
  type Signer,
  signRotation,
} from '@watchglass/record';
import { rotationFileName } from '@watchglass/record/reader';
import {
  finishKeys,
  forgetNextKey,
  type KeyPlace,
  makeNextKey,
  putVkeys,
  storeCheckpointKeys,
  withNext,
  withoutOverlap,
} from './checkpoint-keys.ts';
import { LedgerError } from './errors.ts';
import type { KeyChange } from './ledger.ts';
import type { TenantLog } from './tenant-log.ts';

/** Refuses what can't be done, before anything is said or written. @throws LedgerError `key-change-refused` */
export function assertChange(log: TenantLog, change: KeyChange): void {
  const overlaps = withoutOverlap(log.signers).length < log.signers.length;
  const refuse = (message: string): never => {
    throw new LedgerError('key-change-refused', `the checkpoint key of ${log.tenant}: ${message}`);
  };
  if (change.kind === 'end-overlap' && !overlaps)
    refuse('no key that was replaced signs any more; nothing is to be ended');
  if (change.kind === 'planned' && overlaps)
    refuse('the key that was replaced last still signs; end the overlap first (--end-overlap)');
  if (change.kind === 'compromised' && change.trusted !== undefined && change.trusted > log.head.size)
    refuse(`expected a trusted size of at most ${log.head.size}, got ${change.trusted}`);
}

/** @returns the statement, where the change has one */
export async function changeKeys(place: KeyPlace, log: TenantLog, change: KeyChange): Promise<Rotation | undefined> {
  assertChange(log, change);
  const { random } = place;
  const { origin } = log;
  // One that had no room half-way: it is stated, so it is finished and not stated again.
  const begun = await finishKeys(place, log);
  if (begun.last !== undefined && begun.last.rotation.number !== log.lastRotation?.rotation.number) {
    log.signWith(begun.signers, begun.last);
    return begun.last.rotation;
  }
  switch (change.kind) {
    case 'end-overlap':
      await endOverlap(place, log);
      return undefined;
    case 'planned':
      return bring(place, log, { kind: 'planned', make: () => generateSigner(origin, random.bytes(32)) });
    case 'compromised': {
      const { trusted } = change;
      const make = (): Signer => generateSigner(origin, random.bytes(32));
      const hadSecond = log.signers.some(({ type }) => type === 6);
      const stated = await bring(place, log, { kind: 'compromised', make, trusted });
      // Whoever has one key of a directory has the others in it.
      if (hadSecond)
        await bring(place, log, { kind: 'added', make: () => generateMlDsaSigner(origin, random.bytes(32)) });
      return stated;
    }
    case 'add-ml-dsa-44':
      return bring(place, log, { kind: 'added', make: () => generateMlDsaSigner(origin, random.bytes(32)) });
    default:
      return change satisfies never;
  }
}

async function bring(
  place: KeyPlace,
  log: TenantLog,
  wanted: { readonly kind: RotationKind; readonly make: () => Signer; readonly trusted?: number | undefined },
): Promise<Rotation> {
  const { tenant, origin, signers, lastRotation, seals, head } = log;
  const old = signers[0] as Signer;
  const { kind } = wanted;
  const next = await makeNextKey(place, tenant, wanted.make);
  const rotation: Rotation = {
    origin,
    number: (lastRotation?.rotation.number ?? 0) + 1,
    kind,
    size: head.size,
    root: head.root,
    trusted: wanted.trusted ?? (kind === 'compromised' ? seals.last.size : head.size),
    epoch: seals.epoch,
    previous: lastRotation === undefined ? undefined : hashRotation(lastRotation.bytes),
    old,
    next,
  };
  const bytes = signRotation(rotation, { old, next, epochKey: seals.key });
  await place.driver.putDocument(tenant, rotationFileName(rotation.number), bytes);
  const changed = withNext(signers, kind, next);
  await storeCheckpointKeys(place, tenant, changed);
  await forgetNextKey(place, tenant);
  log.signWith(changed, { rotation, bytes });
  await place.driver.putDocument(tenant, 'checkpoint', Buffer.from(log.head.checkpoint));
  await putVkeys(place, tenant, changed);
  return rotation;
}

async function endOverlap(place: KeyPlace, log: TenantLog): Promise<void> {
  const changed = withoutOverlap(log.signers);
  await putVkeys(place, log.tenant, changed);
  await storeCheckpointKeys(place, log.tenant, changed);
  log.signWith(changed, log.lastRotation);
  await place.driver.putDocument(log.tenant, 'checkpoint', Buffer.from(log.head.checkpoint));
}
