/** Numbers as people read them. */

const whole = new Intl.NumberFormat('en-GB');

export function formatCount(n: number): string {
  return whole.format(n);
}

/** `1 event`, `12,431 events`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

/** Decimal units: `940 B`, `12.4 kB`, `3.1 MB`. */
export function formatBytes(n: number): string {
  if (n < 1000) return `${formatCount(n)} B`;
  if (n < 1_000_000) return `${(n / 1000).toFixed(1)} kB`;
  return `${(n / 1_000_000).toFixed(1)} MB`;
}
