/** The filters that no facet offers: one patient, one resource, one person, one operation. Typed text stays until applied. */
import { ListFilter } from 'lucide-react';
import { Popover } from 'radix-ui';
import { type FormEvent, type ReactElement, useId, useState } from 'react';
import type { ExplorerState, FilterName } from '../state/explorer-state.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { Sheet } from '../ui/sheet.tsx';

export interface FilterFormProps {
  readonly state: ExplorerState;
  readonly onChange: (change: StateChange) => void;
  /** Where the facets don't stand beside the list, they are here, in a sheet. */
  readonly facets: ReactElement | undefined;
}

const fields: readonly { readonly name: FilterName; readonly label: string; readonly hint: string }[] = [
  { name: 'patient', label: 'Patient', hint: 'wg-pt-000417' },
  { name: 'resource', label: 'Resource', hint: 'Observation/42' },
  { name: 'actor', label: 'Who', hint: 'person, service or client id' },
  { name: 'operation', label: 'Operation', hint: 'search-type' },
];

export function FilterForm({ state, onChange, facets }: FilterFormProps): ReactElement {
  const [open, setOpen] = useState(false);
  const fields = (
    <Fields
      state={state}
      onApply={(change) => {
        onChange(change);
        setOpen(false);
      }}
    />
  );
  if (facets) {
    return (
      <>
        <Button aria-label="Filter" aria-haspopup="dialog" onClick={() => setOpen(true)}>
          <ListFilter className="size-4 text-ink-3" aria-hidden="true" />
          <span className="hidden sm:inline">Filter</span>
        </Button>
        <Sheet open={open} onOpenChange={setOpen} title="Filter" description="Frequent values, and what to search for">
          {facets}
          <div className="border-line border-t">{fields}</div>
        </Sheet>
      </>
    );
  }
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger className={buttonClass('plain')} aria-label="Filter">
        <ListFilter className="size-4 text-ink-3" aria-hidden="true" />
        <span className="hidden sm:inline">Filter</span>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          align="end"
          sideOffset={6}
          collisionPadding={12}
          aria-label="Filters"
          className="appear z-40 w-[min(320px,calc(100vw-24px))] rounded-lg bg-raised shadow-panel"
        >
          {fields}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function Fields({
  state,
  onApply,
}: {
  readonly state: ExplorerState;
  readonly onApply: (change: StateChange) => void;
}): ReactElement {
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries(fields.map(({ name }) => [name, state[name] ?? ''])),
  );
  const id = useId();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    onApply(Object.fromEntries(fields.map(({ name }) => [name, typed[name] || undefined])));
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-3 p-4">
      {fields.map(({ name, label, hint }) => (
        <div key={name}>
          <label htmlFor={`${id}-${name}`} className="label mb-1 block">
            {label}
          </label>
          <input
            id={`${id}-${name}`}
            value={typed[name]}
            onChange={(event) => setTyped({ ...typed, [name]: event.target.value })}
            placeholder={hint}
            autoComplete="off"
            spellCheck={false}
            className="mono h-8 w-full rounded-md border border-line-strong bg-surface px-2 placeholder:text-ink-3"
          />
        </div>
      ))}
      <p className="text-ink-3 text-xs">
        A patient’s identifier goes to the server in the body of the request and stands only in this browser’s address
        bar.
      </p>
      <Button type="submit" tone="primary" className="self-start">
        Apply
      </Button>
    </form>
  );
}
