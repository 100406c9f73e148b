/** The checks of a log since the page was opened, newest last; what the heartbeat strip draws. */
import type { LogState } from '../proof/log-watch.ts';

export interface Heartbeat {
  /** RFC 3339. */
  readonly at: string;
  readonly intact: boolean;
  /** Events since the check before. */
  readonly grown: number;
}

const checksMax = 60;
const histories = new Map<string, readonly Heartbeat[]>();
const sizes = new Map<string, number>();

export function noteCheck(tenant: string, state: LogState): void {
  const before = histories.get(tenant) ?? [];
  const size = state.kind === 'intact' ? Number(state.size) : undefined;
  const grown = size === undefined ? 0 : size - (sizes.get(tenant) ?? size);
  if (size !== undefined) sizes.set(tenant, size);
  histories.set(tenant, [...before, { at: state.checkedAt, intact: state.kind === 'intact', grown }].slice(-checksMax));
}

export function checkHistory(tenant: string): readonly Heartbeat[] {
  return histories.get(tenant) ?? [];
}
