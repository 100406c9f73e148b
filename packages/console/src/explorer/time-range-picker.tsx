/** Presets, two fixed instants, and the zone that times are shown in. */
import { CalendarClock, ChevronLeft, ChevronRight } from 'lucide-react';
import { Popover } from 'radix-ui';
import { type FormEvent, type ReactElement, useId, useState } from 'react';
import type { ExplorerState } from '../state/explorer-state.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { describeRange, zoneName } from '../time/format.ts';
import {
  fromInput,
  isAbsolute,
  presetDefault,
  presetLabels,
  presets,
  type RangeChoice,
  resolveRange,
  shiftRange,
  toInput,
  type Zone,
  zones,
} from '../time/range.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';

export interface TimeRangePickerProps {
  readonly state: ExplorerState;
  readonly asOfMs: number;
  readonly onChange: (change: StateChange) => void;
}

export function TimeRangePicker({ state, asOfMs, onChange }: TimeRangePickerProps): ReactElement {
  const [open, setOpen] = useState(false);
  const zone = state.zone ?? 'local';
  const label = isAbsolute(state) ? capital(describeRange(state, zone)) : presetLabels[state.range ?? presetDefault];
  const earlier = shiftRange(state, asOfMs, -1);
  const later = shiftRange(state, asOfMs, 1);
  const go = (choice: RangeChoice): void => {
    onChange({ range: choice.range, from: choice.from, to: choice.to });
    setOpen(false);
  };
  return (
    <div className="flex min-w-0 items-center">
      <button
        type="button"
        aria-label="Earlier time range"
        disabled={!earlier}
        onClick={() => earlier && go(earlier)}
        className={classNames(buttonClass('plain', true), 'hidden w-7 rounded-r-none border-r-0 sm:inline-flex')}
      >
        <ChevronLeft className="size-4" aria-hidden="true" />
      </button>
      <Popover.Root open={open} onOpenChange={setOpen}>
        <Popover.Trigger
          aria-label={`Time range: ${label}`}
          className={classNames(buttonClass('plain'), 'min-w-0 max-w-96 shrink rounded-md sm:rounded-none')}
        >
          <CalendarClock className="size-4 shrink-0 text-ink-3" aria-hidden="true" />
          <span className="truncate">{label}</span>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content
            align="end"
            sideOffset={6}
            collisionPadding={12}
            aria-label="Time range"
            className="appear z-40 flex w-[min(480px,calc(100vw-24px))] flex-col rounded-lg bg-raised shadow-panel sm:flex-row"
          >
            <ul className="flex flex-row flex-wrap gap-0.5 border-line border-b p-2 sm:w-44 sm:flex-col sm:border-r sm:border-b-0">
              {presets.map((preset) => {
                const chosen = !isAbsolute(state) && (state.range ?? presetDefault) === preset;
                return (
                  <li key={preset}>
                    <button
                      type="button"
                      aria-pressed={chosen}
                      onClick={() => go({ range: preset })}
                      className="h-8 w-full rounded px-2 text-left hover:bg-hover aria-pressed:bg-accent-wash aria-pressed:text-accent"
                    >
                      {presetLabels[preset]}
                    </button>
                  </li>
                );
              })}
            </ul>
            <AbsoluteForm
              key={`${state.from} ${state.to} ${zone}`}
              state={state}
              asOfMs={asOfMs}
              zone={zone}
              onApply={go}
              onZone={(next) => onChange({ zone: next })}
            />
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
      <button
        type="button"
        aria-label="Later time range"
        disabled={!later}
        onClick={() => later && go(later)}
        className={classNames(buttonClass('plain', true), 'hidden w-7 rounded-l-none border-l-0 sm:inline-flex')}
      >
        <ChevronRight className="size-4" aria-hidden="true" />
      </button>
    </div>
  );
}

interface AbsoluteFormProps {
  readonly state: ExplorerState;
  readonly asOfMs: number;
  readonly zone: Zone;
  readonly onApply: (choice: RangeChoice) => void;
  readonly onZone: (zone: Zone) => void;
}

function AbsoluteForm({ state, asOfMs, zone, onApply, onZone }: AbsoluteFormProps): ReactElement {
  const shown = resolveRange(state, asOfMs);
  const [from, setFrom] = useState(shown.from ? toInput(shown.from, zone) : '');
  const [to, setTo] = useState(shown.to ? toInput(shown.to, zone) : '');
  const [error, setError] = useState('');
  const fromId = useId();
  const toId = useId();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const start = fromInput(from, zone);
    const end = fromInput(to, zone);
    if ((from !== '' && !start) || (to !== '' && !end)) setError('Give date and time.');
    else if (!start && !end) setError('Give a start, an end, or both.');
    else if (start && end && start >= end) setError('The end is not after the start.');
    else onApply({ ...(start && { from: start }), ...(end && { to: end }) });
  };
  const field = 'h-8 w-full rounded-md border border-line-strong bg-surface px-2 text-sm mono';
  return (
    <form onSubmit={submit} className="flex flex-1 flex-col gap-3 p-4">
      <div>
        <label htmlFor={fromId} className="label mb-1 block">
          From
        </label>
        <input
          id={fromId}
          type="datetime-local"
          step="1"
          value={from}
          onChange={(event) => setFrom(event.target.value)}
          className={field}
        />
      </div>
      <div>
        <label htmlFor={toId} className="label mb-1 block">
          To (empty: until now)
        </label>
        <input
          id={toId}
          type="datetime-local"
          step="1"
          value={to}
          onChange={(event) => setTo(event.target.value)}
          className={field}
        />
      </div>
      <fieldset className="flex items-center gap-1">
        <legend className="label mb-1">Zone</legend>
        {zones.map((choice) => (
          <button
            key={choice}
            type="button"
            aria-pressed={zone === choice}
            onClick={() => onZone(choice)}
            className={classNames(buttonClass('plain'), 'h-7 px-2 text-xs')}
          >
            {choice === 'utc' ? 'UTC' : `Here (${zoneName('local', new Date(asOfMs))})`}
          </button>
        ))}
      </fieldset>
      {error && (
        <p role="alert" className="text-red text-xs">
          {error}
        </p>
      )}
      <Button type="submit" tone="primary" className="mt-auto self-start">
        Apply
      </Button>
    </form>
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
