/** A checkpoint that is signed by a key of the log's own, and names the log that the key is of. */
import { type Checkpoint, openCheckpoint, RecordError } from '@watchglass/record';

/**
 * @param earlier keys that `vkey` was followed from: what they signed while they were the log's still holds
 * @throws {RecordError} `note-unverified`, `signature-invalid`, `origin-mismatch` and those of malformed texts.
 */
export function readSignedCheckpoint(note: string, vkey: string, earlier: readonly string[] = []): Checkpoint {
  for (const [at, key] of [...earlier, vkey].reverse().entries()) {
    try {
      return openCheckpoint(note, { vkey: key }).checkpoint;
    } catch (error) {
      const isOther = error instanceof RecordError && error.code === 'note-unverified';
      if (!isOther || at === earlier.length) throw error;
    }
  }
  throw new RecordError('note-unverified', 'no known key signed the checkpoint');
}
