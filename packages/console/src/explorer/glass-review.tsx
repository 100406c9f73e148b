/**
 * The review of broken glass, where the event is: what others found, and the three things that can be found. What was found is an event of its own, for good; nobody reviews their own.
 */
import { type QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { type EventPage, type Finding, findings, type ListedEvent, reviewEvent, searchReviews } from '../api/client.ts';
import { useTenant } from '../ledger/use-log.ts';
import { useSession } from '../shell/session.tsx';
import type { People } from '../text/people.ts';
import { summariseEvent } from '../text/sentence.ts';
import { formatFullTime } from '../time/format.ts';
import type { Zone } from '../time/range.ts';
import { Button } from '../ui/button.tsx';
import { Sentence } from '../ui/sentence.tsx';

/** Broken glass waits for somebody to look at it. */
export function awaitsReview({ operation, outcome }: ListedEvent): boolean {
  return operation === 'break-glass-opened' && outcome.status === 'success';
}

const words: Readonly<Record<Finding, string>> = {
  justified: 'Justified',
  unjustified: 'Not justified',
  unclear: 'Unclear',
};

export function GlassReview({
  event,
  people,
  zone,
}: {
  readonly event: ListedEvent;
  readonly people: People;
  readonly zone: Zone;
}): ReactElement {
  const tenant = useTenant();
  const { person } = useSession();
  const queries = useQueryClient();
  const key = ['reviews', tenant, event.index];
  const found = useQuery({ queryKey: key, queryFn: ({ signal }) => searchReviews(tenant, event.index, signal) });
  const review = useMutation({
    mutationFn: (finding: Finding) => reviewEvent(tenant, event.index, finding),
    onSuccess: () => void lookForNew(queries, key),
  });
  const may = person.rights.includes('open') && person.id !== event.actor.id;
  const reviews = found.data?.events ?? [];
  return (
    <section aria-label="Review" className="mx-6 mt-3 rounded-lg border border-line px-4 py-3">
      <h3 className="font-medium">Review</h3>
      <ul className="mt-1 flex flex-col gap-1 text-ink-2">
        {reviews.map((one) => (
          <li key={one.index}>
            <Sentence parts={summariseEvent(one, { ...people, ...found.data?.people })} />{' '}
            <time dateTime={one.time} className="mono block text-ink-3">
              {formatFullTime(one.time, zone)}
            </time>
          </li>
        ))}
      </ul>
      <p role="status" className="text-ink-2">
        {statusOf({ loaded: found.data !== undefined, failed: found.isError, count: reviews.length })}
      </p>
      {may && (
        <>
          <p className="mt-3 text-ink-2">Was it an emergency? What you find is recorded under your name, and stays.</p>
          <div className="mt-2 flex flex-wrap gap-2">
            {findings.map((finding) => (
              <Button
                key={finding}
                disabled={review.isPending || review.isSuccess}
                onClick={() => review.mutate(finding)}
              >
                {words[finding]}
              </Button>
            ))}
          </div>
          <p role="status" className="mt-2 text-ink-2 empty:hidden">
            {review.isSuccess && `Recorded: ${words[review.variables].toLowerCase()}.`}
            {review.isError && `Not recorded: ${review.error.message}`}
          </p>
        </>
      )}
    </section>
  );
}

const lookEveryMs = 2_000;
const looksMax = 8;

/** The index is a moment behind the ledger, or longer where the server is busy. Each look is on record, so they end. */
async function lookForNew(queries: QueryClient, key: readonly unknown[]): Promise<void> {
  const newest = (): number | undefined => queries.getQueryData<EventPage>(key)?.events[0]?.index;
  const former = newest();
  for (let look = 0; look < looksMax && newest() === former; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    await queries.refetchQueries({ queryKey: key, type: 'active' });
  }
}

function statusOf({ loaded, failed, count }: { loaded: boolean; failed: boolean; count: number }): string {
  if (failed) return 'Whether somebody looked at it could not be asked for. Reload to ask again.';
  if (!loaded) return 'Looking for reviews …';
  return count === 0 ? 'Nobody has looked at it yet.' : '';
}
