/** A checkpoint that is signed by the log's own key and names the log that the key is of. */
import { type Checkpoint, openCheckpoint } from '@watchglass/record';

/** @throws {RecordError} `note-unverified`, `signature-invalid`, `origin-mismatch` and those of malformed texts. */
export function readSignedCheckpoint(note: string, vkey: string): Checkpoint {
  return openCheckpoint(note, { vkey }).checkpoint;
}
