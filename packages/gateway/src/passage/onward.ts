/** The fields with which the API is asked, by a request or a handshake alike: the client's that may pass, and the gateway's own, which no client can give. */
import { upstreamHeaders } from '../http/headers.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Admitted } from './admission.ts';

type Ours = Parameters<typeof upstreamHeaders>[1];

export function onwardHeaders(
  { request, captured, accept }: Admitted,
  { forwardAuthorization, forwardHeaders }: Pick<Upstream, 'forwardAuthorization' | 'forwardHeaders'>,
  rest: Pick<Ours, 'publicUrl' | 'unconditional' | 'contentLength'>,
): string[] {
  return upstreamHeaders(request, {
    accept,
    requestId: captured.id,
    traceparent: captured.trace?.outgoing ?? captured.traceparent,
    clientAddress: captured.source.address,
    forwardAuthorization,
    forwardHeaders,
    ...rest,
  });
}
