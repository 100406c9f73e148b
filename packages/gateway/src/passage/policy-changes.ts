/** What happens to the policy, told: an event with the SHA-256 of the file, a line in the log, a number. */
import { basename } from 'node:path';

import type { Target } from '@watchglass/record';
import type { Logger } from 'pino';

import { type Own, ownEvent } from '../capture/own-event.ts';
import type { EventDraftFacts, Recorder } from '../capture/recorder.ts';
import type { PolicyChange } from '../policy/policy-keeper.ts';
import type { Policy } from '../policy/tables.ts';
import type { Metrics } from '../watch/metrics.ts';

export interface PolicyChangeParts {
  readonly file: string;
  readonly own: Own;
  readonly recorder: Recorder;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Resolves to whether it is on record: in strict mode nothing comes into force that isn't. */
export async function tellPolicyChange(change: PolicyChange, parts: PolicyChangeParts): Promise<boolean> {
  const { file, recorder, logger, metrics } = parts;
  metrics.policyLoads.inc({ result: change.kind });
  if (change.kind === 'refused')
    logger.error(
      { code: change.code, problems: change.message.split('\n') },
      'the policy was refused; the one before stays',
    );
  const recorded = await recorder.recordDurably([eventOf(change, parts)]);
  if (recorded.kind === 'unrecorded') {
    logger.error({ reason: recorded.reason }, 'a change of the policy could not be recorded; the one before stays');
    return recorder.mode === 'available' || change.kind === 'refused';
  }
  if (change.kind === 'loaded') logger.info({ file: basename(file), sha256: change.policy.digest }, 'policy in force');
  return true;
}

function eventOf(change: PolicyChange, { file, own }: PolicyChangeParts): EventDraftFacts {
  return change.kind === 'loaded'
    ? ownEvent(own, { operation: 'policy-loaded', status: 'success', targets: policyTargets(change.policy, file) })
    : ownEvent(own, {
        operation: 'policy-refused',
        status: 'failed',
        reason: change.code,
        targets: [policyTarget(file, change.digest)],
      });
}

/** Which policy it is: that of a start is in the event of the start. */
export function policyTargets({ digest, cedar, engine }: Policy, file: string): readonly Target[] {
  return [policyTarget(file, digest), ...(cedar === undefined ? [] : [policyTarget(cedar.file, engine?.digest)])];
}

/** The version of a policy is its SHA-256. */
function policyTarget(file: string, digest: string | undefined): Target {
  const id = basename(file)
    .replace(/[^!-~]/g, '?')
    .slice(0, 256);
  return { type: 'Policy', id, ...(digest === undefined ? {} : { version: digest }), role: 'object' };
}
