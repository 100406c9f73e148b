/** How a request is refused that the API did not answer. */
import { BodyCounter } from '../http/body.ts';
import type { Carried } from './admission.ts';
import type { UpstreamFault } from './forward.ts';
import type { RefusalCode } from './refusal.ts';

export function faultCode(fault: UpstreamFault, { body }: Carried): RefusalCode {
  switch (fault) {
    case 'client-closed':
      return 'request-timeout';
    case 'request-body':
      return body instanceof BodyCounter && body.fault?.fault === 'too-large' ? 'body-too-large' : 'body-unreadable';
    default:
      return fault;
  }
}
