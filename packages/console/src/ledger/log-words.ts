/** The state of a log in words. */
import type { LogState } from '../proof/log-watch.ts';
import { formatCount } from '../text/number.ts';
import type { SealState } from '../ui/seal.tsx';

export interface LogWords {
  readonly seal: SealState;
  readonly title: string;
  readonly text: string;
}

export function describeLog(state: LogState): LogWords {
  switch (state.kind) {
    case 'intact':
      return {
        seal: 'sealed',
        title: `Intact to ${formatCount(Number(state.size))}`,
        text:
          state.continues === undefined
            ? `The signature of the newest checkpoint is good. From now on this browser holds the log to it.`
            : `The newest checkpoint is signed by the remembered key, and the log has only grown since this browser last looked.`,
      };
    case 'key-changed':
      return {
        seal: 'not-intact',
        title: 'The key has changed',
        text: 'The server states another verifier key for this log than the one this browser remembers. Until somebody you trust confirms the new key, nothing it signs counts here.',
      };
    case 'signature-invalid':
      return {
        seal: 'not-intact',
        title: 'Signature not valid',
        text: `The newest checkpoint is not signed by the remembered key. ${state.reason}`,
      };
    case 'rolled-back':
      return {
        seal: 'not-intact',
        title: 'The log went back',
        text: `This browser has proof of ${formatCount(Number(state.before))} events; the log now has ${formatCount(Number(state.now))} and does not lead to them. Events were removed, or an old copy was restored.`,
      };
    case 'split':
      return {
        seal: 'not-intact',
        title: 'The log was rewritten',
        text: `The log of ${formatCount(Number(state.now))} events does not contain the ${formatCount(Number(state.before))} this browser has proof of. History was rewritten, or you are shown another log than before.`,
      };
    default:
      return state satisfies never;
  }
}
