/**
 * One event, in place beside the list: a sentence first, then the proof, then every field in readable groups. Not modal:
 * j and k go on moving through the list while it is open.
 */
import { useQuery } from '@tanstack/react-query';
import { ChevronDown, ChevronUp, X } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { type ReactElement, useEffect, useState } from 'react';
import { fetchEvent, type ListedEvent } from '../api/client.ts';
import { useTenant } from '../ledger/use-log.ts';
import type { Verdict } from '../proof/check-proof.ts';
import { learnPeople, useKnownPeople } from '../state/known-people.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { formatCount } from '../text/number.ts';
import type { People } from '../text/people.ts';
import { describeExposure, isIntent, summariseEvent } from '../text/sentence.ts';
import { formatAgo, formatFullTime } from '../time/format.ts';
import type { Zone } from '../time/range.ts';
import { Button } from '../ui/button.tsx';
import { CopyButton } from '../ui/copy-button.tsx';
import { ErrorScreen } from '../ui/message-screen.tsx';
import { Outcome } from '../ui/outcome.tsx';
import { Sentence } from '../ui/sentence.tsx';
import { Skeleton } from '../ui/skeleton.tsx';
import { EventFields } from './event-fields.tsx';
import { EvidenceButton } from './evidence-button.tsx';
import { awaitsReview, GlassReview } from './glass-review.tsx';
import { ProofSection } from './proof-section.tsx';
import { useVerdict } from './use-verdict.ts';

export interface EventPanelProps {
  readonly index: number;
  /** From the list, where it is there. */
  readonly listed: ListedEvent | undefined;
  readonly zone: Zone;
  readonly nowMs: number;
  readonly address: string;
  readonly onClose: () => void;
  /** `undefined` at the end of the list. */
  readonly onPrevious: (() => void) | undefined;
  readonly onNext: (() => void) | undefined;
  readonly onFilter: (change: StateChange) => void;
  readonly onVerdict: (index: number, verdict: Verdict) => void;
}

/** Moving through the list quickly asks for nothing: each opened event and proof is a record. */
const settleMs = 250;

export function EventPanel(props: EventPanelProps): ReactElement {
  const { index, listed, onVerdict } = props;
  const tenant = useTenant();
  const people = useKnownPeople(tenant);
  const settled = useSettled(index);
  // A page lists only the first of many patients, and no leaf: what is proven is the event as asked for alone.
  const fetched = useQuery({
    queryKey: ['event', tenant, index],
    enabled: settled,
    queryFn: async ({ signal }) => {
      const named = await fetchEvent(tenant, index, signal);
      learnPeople(tenant, named.people);
      return named.event;
    },
  });
  const event = fetched.data ?? listed;
  const verdict = useVerdict(tenant, fetched.data);
  const verdictData = verdict.data;
  useEffect(() => {
    if (verdictData) onVerdict(index, verdictData);
  }, [verdictData, index, onVerdict]);
  return (
    <Dialog.Root open modal={false}>
      <Dialog.Content
        aria-describedby={undefined}
        onEscapeKeyDown={(key) => {
          // Esc in a field leaves the field; the panel stays.
          if (key.target instanceof HTMLInputElement) key.preventDefault();
          else props.onClose();
        }}
        onInteractOutside={(outside) => outside.preventDefault()}
        onOpenAutoFocus={(focus) => focus.preventDefault()}
        className="fixed inset-0 z-30 flex min-h-0 flex-col border-line bg-surface outline-none lg:static lg:z-auto lg:w-[500px] lg:shrink-0 lg:border-l xl:w-[528px]"
      >
        <PanelBar {...props} />
        <div className="min-h-0 flex-1 overflow-y-auto pb-16">
          {event ? (
            <>
              <PanelHead event={event} people={people} zone={props.zone} nowMs={props.nowMs} />
              <ProofSection
                event={event}
                verdict={verdictData}
                error={verdict.error ?? fetched.error}
                zone={props.zone}
                onRetry={() => void (fetched.error ? fetched.refetch() : verdict.refetch())}
              />
              {fetched.data && awaitsReview(event) && (
                <GlassReview key={index} event={event} people={people} zone={props.zone} />
              )}
              <EventFields
                event={event}
                people={people}
                zone={props.zone}
                verdict={verdictData}
                onFilter={props.onFilter}
              />
            </>
          ) : fetched.error ? (
            <>
              <Dialog.Title className="sr-only">Event {formatCount(index)}</Dialog.Title>
              <ErrorScreen error={fetched.error} onRetry={() => void fetched.refetch()} />
            </>
          ) : (
            <PanelSkeleton index={index} />
          )}
        </div>
      </Dialog.Content>
    </Dialog.Root>
  );
}

function PanelBar({ index, address, onClose, onPrevious, onNext }: EventPanelProps): ReactElement {
  return (
    <div className="flex h-12 shrink-0 items-center gap-1 border-line border-b pr-3 pl-6">
      <p className="label mr-auto">
        Event <span className="mono text-ink-2">{formatCount(index)}</span>
      </p>
      <Button
        tone="quiet"
        icon
        aria-label="Previous event (k)"
        title="Previous (k)"
        disabled={!onPrevious}
        onClick={onPrevious}
      >
        <ChevronUp className="size-4" aria-hidden="true" />
      </Button>
      <Button tone="quiet" icon aria-label="Next event (j)" title="Next (j)" disabled={!onNext} onClick={onNext}>
        <ChevronDown className="size-4" aria-hidden="true" />
      </Button>
      <EvidenceButton index={index} />
      <CopyButton text={new URL(address, window.location.origin).href} what="link to this event" className="size-8" />
      <Button tone="quiet" icon aria-label="Close (Esc)" title="Close (Esc)" onClick={onClose}>
        <X className="size-4" aria-hidden="true" />
      </Button>
    </div>
  );
}

function PanelHead({
  event,
  people,
  zone,
  nowMs,
}: {
  readonly event: ListedEvent;
  readonly people: People;
  readonly zone: Zone;
  readonly nowMs: number;
}): ReactElement {
  const exposure = describeExposure(event);
  return (
    <div className="flex flex-col gap-2 px-6 pt-5 pb-5">
      <Dialog.Title className="text-balance font-semibold text-lg leading-6">
        <Sentence parts={summariseEvent(event, people)} />
      </Dialog.Title>
      {exposure && <p className="text-base text-ink-2">{exposure}</p>}
      {isIntent(event) && (
        <p className="text-base text-ink-2">
          Recorded before the request went on; the event that completes this one says how it ended.
        </p>
      )}
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1 text-ink-2">
        <Outcome status={event.outcome.status} intent={isIntent(event)} />
        <time dateTime={event.time} className="mono">
          {formatFullTime(event.time, zone)}
        </time>
        <span className="text-ink-3">{formatAgo(event.time, nowMs)}</span>
      </p>
    </div>
  );
}

function PanelSkeleton({ index }: { readonly index: number }): ReactElement {
  return (
    <div aria-busy="true" className="flex flex-col gap-4 px-6 py-6">
      <Dialog.Title className="sr-only">Event {formatCount(index)}</Dialog.Title>
      <Skeleton className="h-6 w-4/5" />
      <Skeleton className="h-4 w-3/5" />
      <Skeleton className="mt-2 h-16 w-full" />
      {[1, 2, 3, 4, 5, 6].map((n) => (
        <Skeleton key={n} className="h-4 w-full" />
      ))}
    </div>
  );
}

function useSettled(index: number): boolean {
  const [settledOn, setSettledOn] = useState<number>();
  useEffect(() => {
    const timer = setTimeout(() => setSettledOn(index), settleMs);
    return () => clearTimeout(timer);
  }, [index]);
  return settledOn === index;
}
