/** The ledger's health: what this browser has proven of it, and apart from that what the server says of itself. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { RefreshCw } from 'lucide-react';
import { type ReactElement, type ReactNode, useEffect } from 'react';
import { fetchStatus } from '../api/client.ts';
import type { EmitterState, ServerStatus } from '../api/server-status.ts';
import { recall } from '../proof/log-memory.ts';
import type { LogState } from '../proof/log-watch.ts';
import { useSession } from '../shell/session.tsx';
import { formatBytes, formatCount, plural } from '../text/number.ts';
import { formatFullTime, formatSpan } from '../time/format.ts';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { CopyButton } from '../ui/copy-button.tsx';
import { ErrorScreen, MessageScreen } from '../ui/message-screen.tsx';
import { SealShape } from '../ui/seal.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { checkHistory } from './check-history.ts';
import { CompletenessSection } from './completeness-section.tsx';
import { HeartbeatStrip } from './heartbeat-strip.tsx';
import { describeLog, whenMade } from './log-words.ts';
import { useLog, useTenant } from './use-log.ts';
import { WitnessFacts } from './witness-facts.tsx';

export function LedgerPage(): ReactElement {
  const session = useSession();
  const { person } = session;
  const tenant = useTenant();
  const log = useLog();
  const allowed = person.rights.includes('status');
  const client = useQueryClient();
  const status = useQuery({
    queryKey: ['status', tenant],
    enabled: allowed,
    queryFn: ({ signal }) => fetchStatus(tenant, signal),
  });
  useEffect(() => {
    document.title = 'Ledger · Watchglass';
  }, []);
  const refresh = (): void => {
    void log.refetch();
    if (allowed) {
      void status.refetch();
      void client.invalidateQueries({ queryKey: ['completeness', tenant] });
    }
  };
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="mx-auto flex max-w-4xl flex-col gap-8 px-4 pt-3 pb-16 md:px-8">
        <div className="flex items-center gap-2">
          <h1 className="mr-auto font-semibold text-lg tracking-tight">
            Ledger <span className="mono font-normal text-ink-3">{tenant}</span>
          </h1>
          <Button icon aria-label="Check again" title="Check again" onClick={refresh}>
            <RefreshCw
              className={classNames('size-4', (log.isFetching || status.isFetching) && 'animate-spin')}
              aria-hidden="true"
            />
          </Button>
        </div>
        {session.vkeys[tenant] === undefined ? (
          <NotOpen />
        ) : log.data ? (
          <Proven state={log.data} tenant={tenant} />
        ) : log.error ? (
          <ErrorScreen error={log.error} onRetry={() => void log.refetch()} />
        ) : (
          <Skeleton className="h-48" />
        )}
        {allowed && session.vkeys[tenant] !== undefined && <CompletenessSection tenant={tenant} />}
        {allowed ? (
          status.data ? (
            <Stated status={status.data} />
          ) : status.error ? (
            <ErrorScreen error={status.error} onRetry={() => void status.refetch()} />
          ) : (
            <Skeleton className="h-64" />
          )
        ) : (
          <MessageScreen title="The server’s own state is not opened to your role">
            <p>What this browser proves of the ledger needs no right: it is public.</p>
          </MessageScreen>
        )}
      </div>
    </div>
  );
}

function Proven({ state, tenant }: { readonly state: LogState; readonly tenant: string }): ReactElement {
  const words = describeLog(state);
  const remembered = recall(localStorage, tenant);
  const intact = state.kind === 'intact';
  return (
    <section
      aria-label="Proven in this browser"
      className={classNames('rounded-xl border bg-surface', intact ? 'border-line' : 'border-red-mark')}
    >
      <div className="flex flex-wrap items-start gap-x-8 gap-y-4 px-6 py-5">
        <div className="flex min-w-0 flex-1 basis-80 items-start gap-3">
          <SealShape state={words.seal} className="mt-1 size-5" />
          <div>
            <h2 className={classNames('font-semibold text-xl', !intact && 'text-red')}>{words.title}</h2>
            <p className="mt-1 text-ink-2">{words.text}</p>
          </div>
        </div>
        <HeartbeatStrip beats={checkHistory(tenant)} />
      </div>
      <dl className="border-line border-t px-6 py-3">
        <Fact name="Checked here">{formatFullTime(state.checkedAt, 'local')}</Fact>
        {remembered && <Fact name="Key remembered since">{formatFullTime(remembered.since, 'local')}</Fact>}
        {remembered?.rotated && (
          <Fact name="Key rotated">
            {whenMade(remembered.rotated)} (statement {remembered.rotated.number}); followed from the key remembered
            before
          </Fact>
        )}
        {remembered && (
          <Fact name="Verifier key" copy={remembered.vkey}>
            <span className="mono break-all">{remembered.vkey}</span>
          </Fact>
        )}
        {intact && (
          <Fact name="Checkpoint" copy={state.checkpoint}>
            <pre className="mono whitespace-pre-wrap break-all text-ink-2">{state.checkpoint.trimEnd()}</pre>
          </Fact>
        )}
      </dl>
      {intact && state.pin.kind === 'first-use' && (
        <p className="mx-6 mb-5 rounded-md bg-amber-wash px-3 py-2 text-amber">
          This browser has just seen this key for the first time and trusts it from now on. Compare it once with the
          file <span className="mono">ledger/{tenant}/vkey</span> in the server’s data directory, read to you by whoever
          runs it.
        </p>
      )}
    </section>
  );
}

/** A log that the server has but could not open: what it is, what is safe, what to do. */
function NotOpen(): ReactElement {
  return (
    <section
      role="alert"
      aria-label="Not open"
      className="flex items-start gap-3 rounded-xl border border-red-mark bg-red-wash px-6 py-5"
    >
      <SealShape state="not-intact" className="mt-1 size-5" />
      <div>
        <h2 className="font-semibold text-red text-xl">The log is not open</h2>
        <p className="mt-1 text-ink">
          The server states no checkpoint and no key for this log: it found something wrong with what is stored, or
          could not read its key, and serves nothing it can’t vouch for.
        </p>
        <p className="mt-2 text-ink-2">
          Nothing is written over it. Whoever runs the server: stop it, copy the data directory away, and run{' '}
          <span className="mono text-ink">watchglass verify</span> on the copy; it names the first place that is not
          intact.
        </p>
      </div>
    </section>
  );
}

function Stated({ status }: { readonly status: ServerStatus }): ReactElement {
  const { ledger, index, intake, emitters, witnesses, version } = status;
  const refused = Object.entries(intake?.refused ?? {}).filter(([, n]) => n > 0);
  const writable = ledger.state.kind === 'writable';
  return (
    <section aria-label="Said by the server" className="flex flex-col gap-6">
      <div>
        <h2 className="font-semibold text-base">Said by the server</h2>
        <dl className="mt-2">
          <Fact name="Ledger">
            {writable ? (
              'Writable'
            ) : (
              <span className="font-medium text-red">
                Read-only{ledger.state.reason ? `: ${ledger.state.reason}` : ''}. Nothing new is acknowledged, and what
                was acknowledged is not touched.
              </span>
            )}
          </Fact>
          <Fact name="Size">
            {ledger.size === undefined ? (
              <span className="font-medium text-red">Not known: this log is not open</span>
            ) : (
              plural(ledger.size, 'event')
            )}
          </Fact>
          {ledger.lastSyncMs !== undefined && (
            <Fact name="Newest group durable in">{formatSpan(ledger.lastSyncMs)}</Fact>
          )}
          {ledger.journalBytes !== undefined && <Fact name="Journal">{formatBytes(ledger.journalBytes)}</Fact>}
          <Fact name="Index">{index ? describeIndex(index) : 'Not followed'}</Fact>
          {intake && (
            <Fact name="Taken in since start">
              {plural(intake.accepted, 'event')}, {plural(intake.duplicates, 'duplicate')}
              {refused.length > 0 && (
                <>, refused: {refused.map(([code, n]) => `${formatCount(n)} ${code}`).join(', ')}</>
              )}
            </Fact>
          )}
          {witnesses && (
            <Fact name="Witnesses">
              <WitnessFacts witnesses={witnesses} />
            </Fact>
          )}
          <Fact name="Version">{version}</Fact>
        </dl>
      </div>
      <Emitters emitters={emitters} />
    </section>
  );
}

function describeIndex(index: NonNullable<ServerStatus['index']>): ReactNode {
  if (index.failure)
    return (
      <span className="font-medium text-red">
        Stopped: {index.failure}. Searches miss what came since; the ledger is not affected.
      </span>
    );
  const behind = index.size - index.indexed;
  return behind <= 0
    ? 'Everything can be found'
    : `${plural(behind, 'event')} behind, the oldest for ${formatSpan(index.lagMs)}`;
}

function Emitters({ emitters }: { readonly emitters: readonly EmitterState[] }): ReactElement {
  return (
    <div>
      <h3 className="font-semibold text-base">Emitters</h3>
      <p className="text-ink-2">
        Each numbers its events without gaps, so that what is lost before the ledger can be seen.
      </p>
      <div className="mt-2 overflow-x-auto rounded-lg border border-line bg-surface">
        <table className="w-full whitespace-nowrap">
          <thead>
            <tr className="text-left text-ink-3 text-xs">
              <th scope="col" className="h-8 border-line border-b px-4 font-medium">
                Emitter
              </th>
              <th scope="col" className="w-32 border-line border-b px-4 text-right font-medium">
                Last number
              </th>
              <th scope="col" className="w-28 border-line border-b px-4 text-right font-medium">
                Received
              </th>
              <th scope="col" className="w-64 border-line border-b px-4 font-medium">
                Missing
              </th>
            </tr>
          </thead>
          <tbody>
            {emitters.map((emitter) => (
              <tr key={emitter.id} className="border-line [&:not(:last-child)>td]:border-b">
                <td className="mono h-[34px] border-line px-4">{emitter.id}</td>
                <td className="border-line px-4 text-right">{formatCount(emitter.lastSeq)}</td>
                <td className="border-line px-4 text-right">{formatCount(emitter.received)}</td>
                <td className="border-line px-4">{describeGaps(emitter)}</td>
              </tr>
            ))}
            {emitters.length === 0 && (
              <tr>
                <td colSpan={4} className="h-12 px-4 text-ink-3">
                  Nobody has sent anything yet.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </div>
  );
}

const gapsShown = 3;

function describeGaps({ gaps }: EmitterState): ReactElement {
  if (gaps.length === 0) return <span className="text-ink-3">none</span>;
  const missing = gaps.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0);
  const places = gaps
    .slice(0, gapsShown)
    .map(({ first, last }) => (first === last ? formatCount(first) : `${formatCount(first)}–${formatCount(last)}`));
  return (
    <span className="font-medium text-amber">
      ▲ {formatCount(missing)} missing: {places.join(', ')}
      {gaps.length > gapsShown && ` and ${gaps.length - gapsShown} more`}
    </span>
  );
}

interface FactProps {
  readonly name: string;
  readonly children: ReactNode;
  readonly copy?: string;
}

function Fact({ name, children, copy }: FactProps): ReactElement {
  return (
    <div className="grid min-h-8 grid-cols-[minmax(0,1fr)_auto] gap-x-4 py-1.5 sm:flex">
      <dt className="col-span-2 shrink-0 text-ink-3 sm:w-44">{name}</dt>
      <dd className="min-w-0 flex-1">{children}</dd>
      {copy !== undefined && (
        <dd>
          <CopyButton text={copy} what={name.toLowerCase()} />
        </dd>
      )}
    </div>
  );
}
