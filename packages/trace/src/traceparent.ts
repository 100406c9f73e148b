/** What another party says of a trace (W3C Trace Context §3.2); its `tracestate` is nobody's business here. */

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  /** Two digits of hexadecimal. */
  readonly flags: string;
}

/** Undefined for what says nothing that can be believed. */
export function parseTraceparent(inbound: string | string[] | undefined): Traceparent | undefined {
  if (typeof inbound !== 'string') return undefined;
  const match = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/.exec(inbound);
  if (match === null) return undefined;
  const [, traceId = '', spanId = '', flags = ''] = match;
  return { traceId, spanId, flags };
}

export function isSampled({ flags }: Traceparent): boolean {
  return (Number.parseInt(flags, 16) & 1) === 1;
}
