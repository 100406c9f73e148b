/**
 * What witnesses vouch for, held against a policy file: of a running server's log. Of a
 * directory the reader of `record` says it.
 */
import { openWitnessed, type Policy, parsePolicy, RecordError } from '@watchglass/record';
import type { Client } from '../client.ts';
import { CliError } from '../errors.ts';
import type { LogName } from './remote-statements.ts';
import type { Finding, Witnessed } from './report.ts';

/** @throws CliError `usage` */
export function parseGivenPolicy(text: string, file: string): Policy {
  try {
    return parsePolicy(text);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    throw new CliError('usage', `${file} is not a policy: ${error.message}`, { cause: error });
  }
}

export interface RemoteWitnessed {
  readonly findings: readonly Finding[];
  readonly witnessed?: Witnessed;
  /** What the cosigned checkpoint states: the log has to contain it. */
  readonly stated?: { readonly size: number; readonly root: Uint8Array };
}

/** Fetches the cosigned checkpoint of a log, before its newest one is read. */
export async function witnessedRemotely(
  client: Client,
  log: LogName,
  { policy, vkey }: { readonly policy: Policy; readonly vkey: string },
  signal: AbortSignal,
): Promise<RemoteWitnessed> {
  const place = `${log.tenant}/cosigned`;
  const missing = (message: string, code = 'not-witnessed'): RemoteWitnessed => ({
    findings: policy.quorum.kind === 'none' ? [] : [{ code, place, message }],
  });
  let note: string;
  try {
    note = await client.getText(`/log/${log.tenant}/cosigned`, signal);
  } catch (error) {
    if (!(error instanceof CliError && error.status === 404)) throw error;
    return missing('no checkpoint has the cosignatures that the policy asks for');
  }
  try {
    const { checkpoint, cosigned, quorum, quorumTimeSeconds } = openWitnessed(note, policy, [vkey]);
    if (!quorum) return missing('the policy asks for more witnesses than cosigned');
    const size = Number(checkpoint.size);
    return {
      findings: [],
      stated: { size, root: checkpoint.root },
      witnessed: {
        size,
        quorum,
        by: cosigned.map(({ witness }) => witness.name),
        ...(quorumTimeSeconds === undefined ? {} : { timeSeconds: Number(quorumTimeSeconds) }),
      },
    };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return { findings: [{ code: error.code, place, message: error.message }] };
  }
}
