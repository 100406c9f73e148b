/** What narrows the list, each removable. */
import { X } from 'lucide-react';
import type { ReactElement } from 'react';
import { activeFilters, type ExplorerState, type FilterName } from '../state/explorer-state.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { facetValueLabel } from '../text/labels.ts';
import type { People } from '../text/people.ts';

export interface FilterChipsProps {
  readonly state: ExplorerState;
  readonly people: People;
  readonly onChange: (change: StateChange) => void;
  readonly onClear: () => void;
}

const names: Readonly<Record<FilterName, string>> = {
  kind: 'Kind',
  action: 'Action',
  operation: 'Operation',
  outcome: 'Outcome',
  actor: 'Who',
  patient: 'Patient',
  resource: 'Resource',
  q: 'Text',
};

export function FilterChips({ state, people, onChange, onClear }: FilterChipsProps): ReactElement | null {
  const filters = activeFilters(state);
  if (filters.length === 0) return null;
  return (
    <ul aria-label="Active filters" className="flex flex-wrap items-center gap-1.5 px-4 pb-3 md:px-6">
      {filters.map(({ name, value }) => {
        const shown = (name === 'actor' ? people[value]?.name : undefined) ?? facetValueLabel(name, value);
        return (
          <li
            key={name}
            className="flex h-6 max-w-full items-center overflow-hidden rounded-md border border-line-strong bg-surface text-xs"
          >
            <span className="shrink-0 pl-2 text-ink-3">{names[name]}</span>
            <span title={value} className="truncate px-1.5 font-medium">
              {shown}
            </span>
            <button
              type="button"
              aria-label={`Remove the filter ${names[name]} ${shown}`}
              onClick={() => onChange({ [name]: undefined })}
              className="grid h-full w-6 shrink-0 place-items-center text-ink-3 hover:bg-hover hover:text-ink focus-visible:-outline-offset-2"
            >
              <X className="size-3.5" aria-hidden="true" />
            </button>
          </li>
        );
      })}
      <li>
        <button type="button" onClick={onClear} className="h-6 rounded px-1.5 text-accent text-xs hover:underline">
          Clear all
        </button>
      </li>
    </ul>
  );
}
