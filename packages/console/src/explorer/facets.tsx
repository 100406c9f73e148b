/** The most frequent values of what matches, counted by the server; a click narrows to one, another click lets go. */

import { outcomeStatuses } from '@watchglass/record';
import { ChevronDown, X } from 'lucide-react';
import { type ReactElement, useState } from 'react';
import type { FacetName, FacetValue, Summary } from '../api/client.ts';
import type { ExplorerState, FilterName } from '../state/explorer-state.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { facetValueLabel } from '../text/labels.ts';
import { formatCount } from '../text/number.ts';
import type { People } from '../text/people.ts';
import { classNames } from '../ui/class-names.ts';
import { OutcomeShape } from '../ui/outcome.tsx';
import { Skeleton } from '../ui/skeleton.tsx';

export interface FacetsProps {
  readonly facets: Summary['facets'] | undefined;
  readonly people: People;
  /** They won't come. */
  readonly failed: boolean;
  readonly state: ExplorerState;
  /** In two columns, with rows for fingers. */
  readonly spread: boolean;
  readonly onChange: (change: StateChange) => void;
}

const groups: readonly {
  readonly name: FacetName;
  readonly title: string;
  readonly filter: FilterName;
  readonly mono?: true;
}[] = [
  { name: 'outcome', title: 'Outcome', filter: 'outcome' },
  { name: 'kind', title: 'Kind', filter: 'kind' },
  { name: 'action', title: 'Action', filter: 'action' },
  { name: 'operation', title: 'Operation', filter: 'operation', mono: true },
  { name: 'actor', title: 'Who', filter: 'actor', mono: true },
  { name: 'route', title: 'Route', filter: 'q', mono: true },
];
const shownFew = 6;

export function Facets({ facets, people, failed, state, spread, onChange }: FacetsProps): ReactElement | null {
  if (failed && !facets) return null;
  return (
    <div
      className={classNames(
        'px-4 py-4',
        spread ? 'grid grid-cols-2 gap-x-6 gap-y-4 [&_li>button]:h-9' : 'flex flex-col gap-5',
      )}
    >
      {groups.map((group) => (
        <FacetGroup
          key={group.name}
          {...group}
          people={people}
          values={facets?.[group.name]}
          chosen={state[group.filter]}
          onChoose={(value) => onChange({ [group.filter]: value })}
        />
      ))}
    </div>
  );
}

interface FacetGroupProps {
  readonly name: FacetName;
  readonly title: string;
  readonly mono?: true;
  readonly people: People;
  readonly values: readonly FacetValue[] | undefined;
  readonly chosen: string | undefined;
  readonly onChoose: (value: string | undefined) => void;
}

function FacetGroup({ name, title, mono, people, values, chosen, onChoose }: FacetGroupProps): ReactElement | null {
  const [open, setOpen] = useState(true);
  const [all, setAll] = useState(false);
  const chosenOnly = chosen !== undefined && values?.every(({ value }) => value !== chosen);
  if (values?.length === 0 && !(chosenOnly && name !== 'route')) return null;
  const few = all ? values : values?.slice(0, shownFew);
  const shown: typeof values = chosenOnly && name !== 'route' ? [{ value: chosen, count: 0 }, ...(few ?? [])] : few;
  return (
    <section aria-label={title}>
      <h2>
        <button
          type="button"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
          className="-mx-1 flex h-6 w-[calc(100%+8px)] items-center gap-1 rounded px-1 font-medium text-ink-3 text-xs hover:text-ink"
        >
          <span className="flex-1 text-left">{title}</span>
          <ChevronDown
            className={classNames('size-3.5 transition-transform', !open && '-rotate-90')}
            aria-hidden="true"
          />
        </button>
      </h2>
      {open && (
        <ul className="mt-1 flex flex-col">
          {shown?.map(({ value, count }) => {
            const person = name === 'actor' ? people[value] : undefined;
            return (
              <li key={value}>
                <button
                  type="button"
                  aria-pressed={value === chosen}
                  title={value}
                  onClick={() => onChoose(value === chosen ? undefined : value)}
                  className="-mx-1.5 flex h-7 w-[calc(100%+12px)] items-center gap-2 rounded px-1.5 text-left text-ink-2 hover:bg-hover hover:text-ink aria-pressed:bg-accent-wash aria-pressed:text-accent"
                >
                  {name === 'outcome' && <FacetOutcome value={value} />}
                  <span className={classNames('min-w-0 flex-1 truncate', mono && !person && 'mono')}>
                    {person?.name ?? facetValueLabel(name, value)}
                  </span>
                  {value === chosen ? (
                    <X className="size-3.5 shrink-0" aria-hidden="true" />
                  ) : (
                    <span className="shrink-0 text-ink-3 text-xs">{formatCount(count)}</span>
                  )}
                </button>
              </li>
            );
          }) ??
            [1, 2, 3].map((n) => (
              <li key={n} className="flex h-7 items-center justify-between">
                <Skeleton className="h-3 w-24" />
                <Skeleton className="h-3 w-6" />
              </li>
            ))}
          {values && values.length > shownFew && (
            <li>
              <button
                type="button"
                onClick={() => setAll(!all)}
                className="h-7 rounded text-accent text-xs hover:underline"
              >
                {all ? 'Show fewer' : `Show ${values.length - shownFew} more`}
              </button>
            </li>
          )}
        </ul>
      )}
    </section>
  );
}

function FacetOutcome({ value }: { readonly value: string }): ReactElement | null {
  const status = outcomeStatuses.find((known) => known === value);
  return status ? <OutcomeShape status={status} /> : null;
}
