/** Whether the ledger takes records, as the newest answers told: reads are recorded before they are answered, so a ledger that takes none refuses them. */
import { useSyncExternalStore } from 'react';
import type { ConsoleError } from '../errors.ts';

let refusal: ConsoleError | undefined;
const listeners = new Set<() => void>();

/** The ledger is read-only, or its disk full. */
export function isRecordingRefusal({ code }: ConsoleError): boolean {
  return code === 'read-only' || code === 'storage-full';
}

/** `undefined`: the newest answer was recorded. */
export function noteRecording(error: ConsoleError | undefined): void {
  if (refusal === error) return;
  refusal = error;
  for (const listener of listeners) listener();
}

/** What the ledger last refused a record with; `undefined` while it takes them. */
export function useRecordingRefusal(): ConsoleError | undefined {
  return useSyncExternalStore(subscribe, () => refusal);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
