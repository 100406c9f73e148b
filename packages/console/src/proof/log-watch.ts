/**
 * The state of a log as this browser can prove it: fetches the newest checkpoint, checks its signature under the
 * remembered key and that it continues the remembered checkpoint, and remembers it. Public resources only: costs no record.
 */
import { type KeyStatements, RecordError, type Rotation } from '@watchglass/record';
import { checkGrowth, type TileReader } from './growth.ts';
import {
  type Pin,
  pinKey,
  type RotationFacts,
  rememberCheckpoint,
  rememberRotation,
  rememberSeal,
  type TextStore,
} from './log-memory.ts';
import { followRotations, newestSeal, openStatements } from './rotated-key.ts';
import { readSignedCheckpoint } from './signed-checkpoint.ts';

export type LogState =
  | {
      readonly kind: 'intact';
      readonly size: bigint;
      readonly checkpoint: string;
      readonly pin: Pin;
      /** By which statements the remembered key was just followed to another one. */
      readonly rotated: readonly Rotation[];
      /** Size at which this browser's memory of the log begins to hold; undefined when it has just begun. */
      readonly continues: bigint | undefined;
      readonly checkedAt: string;
    }
  | {
      readonly kind: 'key-changed';
      readonly pin: ChangedPin;
      readonly reason: string;
      readonly checkedAt: string;
    }
  | {
      readonly kind: 'key-revoked';
      readonly pin: ChangedPin;
      readonly rotation: Rotation;
      readonly checkedAt: string;
    }
  | { readonly kind: 'signature-invalid'; readonly reason: string; readonly checkedAt: string }
  | {
      readonly kind: 'rolled-back' | 'split';
      readonly before: bigint;
      readonly now: bigint;
      readonly checkedAt: string;
    };

export type ChangedPin = Extract<Pin, { kind: 'changed' }>;

export async function watchLog(options: {
  readonly tenant: string;
  /** As the server states it now. */
  readonly statedKey: string;
  readonly store: TextStore;
  readonly fetchCheckpoint: () => Promise<string>;
  readonly fetchStatements: () => Promise<KeyStatements>;
  readonly readTile: TileReader;
  /** RFC 3339. */
  readonly now: string;
}): Promise<LogState> {
  const { tenant, store, now: checkedAt } = options;
  let pin = pinKey(store, tenant, options.statedKey, checkedAt);
  let rotated: readonly Rotation[] = [];
  if (pin.kind === 'changed') {
    const { stated } = pin;
    const followed = followRotations(pin.log, stated, await options.fetchStatements());
    if (followed.kind === 'unexplained') return { kind: 'key-changed', pin, reason: followed.reason, checkedAt };
    if (followed.kind === 'revoked') return { kind: 'key-revoked', pin, rotation: followed.rotation, checkedAt };
    rotated = followed.rotations;
    rememberRotation(store, tenant, { vkey: stated, rotated: factsOf(rotated.at(-1)), seal: followed.seal });
    pin = pinKey(store, tenant, stated, checkedAt);
  }
  const checkpoint = await options.fetchCheckpoint();
  try {
    if (pin.log.seal === undefined) {
      const statements = await options.fetchStatements();
      openStatements(pin.log, statements);
      rememberSeal(store, tenant, newestSeal(statements));
    }
    readSignedCheckpoint(checkpoint, pin.log.vkey);
    const growth = await checkGrowth({
      remembered: pin.log.checkpoint,
      next: checkpoint,
      vkey: pin.log.vkey,
      earlier: pin.log.earlier,
      readTile: options.readTile,
    });
    switch (growth.kind) {
      case 'rolled-back':
      case 'split':
        return { ...growth, checkedAt };
      case 'first':
      case 'grown':
        rememberCheckpoint(store, tenant, checkpoint);
        break;
      case 'older':
        break;
      default:
        growth satisfies never;
    }
    const newest = growth.kind === 'older' ? (pin.log.checkpoint ?? checkpoint) : checkpoint;
    return {
      kind: 'intact',
      size: readSignedCheckpoint(newest, pin.log.vkey, pin.log.earlier).size,
      checkpoint: newest,
      pin,
      rotated,
      continues: growth.kind === 'grown' ? growth.before : undefined,
      checkedAt,
    };
  } catch (error) {
    if (error instanceof RecordError)
      return { kind: 'signature-invalid', reason: `The check says: ${error.message}.`, checkedAt };
    throw error;
  }
}

function factsOf(rotation: Rotation | undefined): RotationFacts | undefined {
  return rotation && { number: rotation.number, epoch: rotation.epoch, size: rotation.size };
}
