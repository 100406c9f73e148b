/**
 * The state of a log as this browser can prove it: fetches the newest checkpoint, checks its signature under the
 * remembered key and that it continues the remembered checkpoint, and remembers it. Public resources only: costs no record.
 */
import { RecordError } from '@watchglass/record';
import { checkGrowth, type TileReader } from './growth.ts';
import { type Pin, pinKey, rememberCheckpoint, type TextStore } from './log-memory.ts';
import { readSignedCheckpoint } from './signed-checkpoint.ts';

export type LogState =
  | {
      readonly kind: 'intact';
      readonly size: bigint;
      readonly checkpoint: string;
      readonly pin: Pin;
      /** Size at which this browser's memory of the log begins to hold; undefined when it has just begun. */
      readonly continues: bigint | undefined;
      readonly checkedAt: string;
    }
  | { readonly kind: 'key-changed'; readonly pin: Extract<Pin, { kind: 'changed' }>; readonly checkedAt: string }
  | { readonly kind: 'signature-invalid'; readonly reason: string; readonly checkedAt: string }
  | {
      readonly kind: 'rolled-back' | 'split';
      readonly before: bigint;
      readonly now: bigint;
      readonly checkedAt: string;
    };

export async function watchLog(options: {
  readonly tenant: string;
  /** As the server states it now. */
  readonly statedKey: string;
  readonly store: TextStore;
  readonly fetchCheckpoint: () => Promise<string>;
  readonly readTile: TileReader;
  /** RFC 3339. */
  readonly now: string;
}): Promise<LogState> {
  const { tenant, store, now: checkedAt } = options;
  const pin = pinKey(store, tenant, options.statedKey, checkedAt);
  if (pin.kind === 'changed') return { kind: 'key-changed', pin, checkedAt };
  const checkpoint = await options.fetchCheckpoint();
  try {
    const growth = await checkGrowth({
      remembered: pin.log.checkpoint,
      next: checkpoint,
      vkey: pin.log.vkey,
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
      size: readSignedCheckpoint(newest, pin.log.vkey).size,
      checkpoint: newest,
      pin,
      continues: growth.kind === 'grown' ? growth.before : undefined,
      checkedAt,
    };
  } catch (error) {
    if (error instanceof RecordError)
      return { kind: 'signature-invalid', reason: `The check says: ${error.message}.`, checkedAt };
    throw error;
  }
}
