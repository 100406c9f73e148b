/** RFC 3339 of a moment. Many requests come within one millisecond, and the text of it is made once for them. */
let lastMs = Number.NaN;
let lastText = '';

export function timestamp(timeMs: number): string {
  if (timeMs !== lastMs) {
    lastText = new Date(timeMs).toISOString();
    lastMs = timeMs;
  }
  return lastText;
}
