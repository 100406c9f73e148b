/** The search box. Asks on Enter, not on every key: each search is a record. */
import { Search, X } from 'lucide-react';
import { type FormEvent, type ReactElement, type RefObject, useState } from 'react';
import type { Filters } from '../state/explorer-state.ts';
import { parseSearchBox } from '../state/search-box.ts';
import { Kbd } from '../ui/kbd.tsx';

export interface SearchFieldProps {
  readonly field: RefObject<HTMLInputElement | null>;
  readonly q: string;
  readonly onSearch: (filters: Filters) => void;
}

export function SearchField({ field, q, onSearch }: SearchFieldProps): ReactElement {
  const [typed, setTyped] = useState(q);
  const [shown, setShown] = useState(q);
  if (shown !== q) {
    setShown(q);
    setTyped(q);
  }
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const filters = parseSearchBox(typed);
    setTyped(filters.q ?? '');
    onSearch(filters);
    // The list is next: j and k move in it.
    field.current?.blur();
  };
  return (
    <search className="min-w-0 flex-1 basis-64">
      <form onSubmit={submit} className="relative">
        <Search className="pointer-events-none absolute top-2 left-2.5 size-4 text-ink-3" aria-hidden="true" />
        <input
          ref={field}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') event.currentTarget.blur();
          }}
          aria-label="Search events"
          placeholder="Search, or patient:… actor:… resource:…"
          autoComplete="off"
          spellCheck={false}
          enterKeyHint="search"
          className="h-8 w-full rounded-md border border-line-strong bg-surface pr-9 pl-8 placeholder:text-ink-3 focus-visible:outline-offset-0"
        />
        <span className="absolute top-1 right-1.5 flex h-6 items-center">
          {typed === '' ? (
            <span className="hidden md:inline" aria-hidden="true">
              <Kbd>/</Kbd>
            </span>
          ) : (
            <button
              type="button"
              aria-label="Clear the search"
              onClick={() => {
                setTyped('');
                if (q !== '') onSearch({});
                field.current?.focus();
              }}
              className="grid size-6 place-items-center rounded text-ink-3 hover:bg-hover hover:text-ink"
            >
              <X className="size-3.5" aria-hidden="true" />
            </button>
          )}
        </span>
      </form>
    </search>
  );
}
