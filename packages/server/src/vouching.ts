/** What others vouch for, as the server starts it: timestamps where an authority is configured, and on record who the witnesses are. */
import { type Change, formatVerifierKey } from '@watchglass/record';
import type { Logger } from 'pino';
import type { RecordOwn } from './access/access.ts';
import type { ServerConfig } from './config/config.ts';
import { ServerError } from './errors.ts';
import { readRoots, Timestamping, type TimestampingOptions } from './ledger/timestamps/timestamping.ts';
import type { Witnessing } from './ledger/witness/witnessing.ts';
import { realHttp } from './world/real-http.ts';

const recordedWitnessesMax = 24;

/** @throws ServerError `config-invalid` where its certificates are missing */
export async function openTimestamping(
  { timestamps }: ServerConfig,
  parts: Pick<TimestampingOptions, 'ledger' | 'world' | 'report'>,
): Promise<Timestamping | undefined> {
  if (timestamps === undefined) return undefined;
  const { url, periodMs, caFile } = timestamps;
  const pem = caFile === undefined ? undefined : await parts.world.disk.readFile(caFile);
  if (caFile !== undefined && pem === undefined)
    throw new ServerError(
      'config-invalid',
      `timestamps.ca: there is no ${caFile}; put the certificates of the authority there`,
    );
  const roots = pem === undefined ? [] : readRoots(Buffer.from(pem).toString('utf8'));
  return new Timestamping({ ...parts, http: realHttp, url, periodMs, roots });
}

/** A change of who must vouch for a log is an event of that log, with the public keys. */
export async function recordPolicies(witnessing: Witnessing, record: RecordOwn, log: Logger): Promise<void> {
  try {
    await witnessing.recordPolicies(async (tenant, policy, digest) => {
      await record({
        tenant,
        kind: 'system',
        action: 'update',
        operation: 'witness-policy',
        outcome: { status: 'success' },
        actor: { id: 'server', type: 'service' },
        changes: [
          { path: '/sha256', op: 'replace', after: digest },
          // The digest covers them all; a record has its bound.
          ...policy.witnesses.slice(0, recordedWitnessesMax).map(
            ({ name, verifier }): Change => ({
              path: `/witnesses/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
              op: 'replace',
              after: formatVerifierKey(verifier),
            }),
          ),
        ],
      });
    });
  } catch (error) {
    log.error({ err: error }, 'the witnesses could not be recorded');
  }
}
