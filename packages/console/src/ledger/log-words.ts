/** The state of a log in words. */
import type { RotationFacts } from '../proof/log-memory.ts';
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
        text: `${sayRotated(state)}${
          state.continues === undefined
            ? `The signature of the newest checkpoint is good. From now on this browser holds the log to it.`
            : `The newest checkpoint is signed by the remembered key, and the log has only grown since this browser last looked.`
        }`,
      };
    case 'key-changed':
      return {
        seal: 'not-intact',
        title: 'The key has changed',
        text: 'The server states another verifier key for this log than the one this browser remembers, and nothing in the log explains it. Until somebody you trust confirms the new key, nothing it signs counts here.',
      };
    case 'key-revoked':
      return {
        seal: 'not-intact',
        title: 'The key was stolen',
        text: `The log says that the key this browser remembers was stolen, and revoked ${whenMade(state.rotation)}. What that key alone signed past ${formatCount(state.rotation.trusted)} events is not to be believed, and nor is what the log says of its new key: ask somebody who runs it.`,
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

/** Told at the check at which the key was followed; the log itself goes on saying it. */
function sayRotated({ rotated }: Extract<LogState, { kind: 'intact' }>): string {
  const newest = rotated.at(-1);
  if (newest === undefined) return '';
  const times = rotated.length === 1 ? '' : ` ${rotated.length} times, last`;
  return `The key was rotated${times} ${whenMade(newest)}; this browser followed it. `;
}

/** A statement on a key names its month, and how many events the log had: it is announced in the log from that index on. */
export function whenMade({ epoch, size }: RotationFacts): string {
  const month = `${1970 + Math.floor(epoch / 12)}-${String((epoch % 12) + 1).padStart(2, '0')}`;
  return `in ${month} at ${formatCount(size)} events`;
}
