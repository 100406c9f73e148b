/** Epochs are months, counted from January 1970 in UTC (docs/format.md, "Names"): of a given moment, not of the machine's clock. */

/** The month of a moment, ms since 1970. */
export function epochOf(ms: number): number {
  const date = new Date(ms);
  return Math.max(0, (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth());
}

/** When an epoch begins, ms since 1970. */
export function startOfEpoch(epoch: number): number {
  return Date.UTC(1970, epoch);
}
