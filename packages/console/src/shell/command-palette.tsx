/** ⌘K: the screens, the ranges, the theme, and an event by its number. */
import { useNavigate } from '@tanstack/react-router';
import { outcomeStatuses } from '@watchglass/record';
import { type KeyboardEvent, type ReactElement, useId, useMemo, useState } from 'react';
import { clearFilters } from '../state/explorer-state.ts';
import { useExplorerState } from '../state/use-explorer-state.ts';
import { outcomeLabels } from '../text/labels.ts';
import { presetLabels, presets } from '../time/range.ts';
import { classNames } from '../ui/class-names.ts';
import { Modal } from '../ui/modal.tsx';
import { chooseTheme } from './theme-choice.ts';

export interface CommandPaletteProps {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
  readonly onHelp: () => void;
}

interface Command {
  readonly name: string;
  readonly group: string;
  readonly run: () => void;
}

export function CommandPalette(props: CommandPaletteProps): ReactElement {
  return (
    <Modal
      open={props.open}
      onOpenChange={props.onOpenChange}
      title="Commands"
      titleHidden
      description="Type to find a command, arrow keys to choose, Enter to run"
    >
      <Palette {...props} />
    </Modal>
  );
}

function Palette({ onOpenChange, onHelp }: CommandPaletteProps): ReactElement {
  const commands = useCommands(onHelp);
  const [typed, setTyped] = useState('');
  const [chosen, setChosen] = useState(0);
  const list = useId();
  const navigate = useExplorerState();
  const matches = useMemo(() => {
    const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    const found = commands.filter(({ name, group }) =>
      words.every((word) => `${group} ${name}`.toLowerCase().includes(word)),
    );
    const number = /^#?(\d{1,15})$/.exec(typed.trim())?.[1];
    return number === undefined
      ? found
      : [
          { name: `Open event ${number}`, group: 'Event', run: () => navigate.change({ event: Number(number) }) },
          ...found,
        ];
  }, [commands, typed, navigate]);
  const current = Math.min(chosen, matches.length - 1);
  const run = (command: Command | undefined): void => {
    if (!command) return;
    onOpenChange(false);
    command.run();
  };
  const onKeyDown = (key: KeyboardEvent): void => {
    if (key.key === 'ArrowDown') setChosen(Math.min(current + 1, matches.length - 1));
    else if (key.key === 'ArrowUp') setChosen(Math.max(current - 1, 0));
    else if (key.key === 'Enter') run(matches[current]);
    else return;
    key.preventDefault();
  };
  return (
    <div>
      <input
        role="combobox"
        aria-label="Command"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={matches[current] ? `${list}-${current}` : undefined}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setChosen(0);
        }}
        onKeyDown={onKeyDown}
        placeholder="What do you want to do? Or the number of an event"
        autoComplete="off"
        spellCheck={false}
        className="h-12 w-full rounded-t-xl border-line border-b bg-transparent px-5 text-base outline-none placeholder:text-ink-3"
      />
      <div id={list} role="listbox" aria-label="Commands" className="max-h-[50vh] overflow-y-auto p-2">
        {matches.map((command, i) => (
          <div
            key={`${command.group} ${command.name}`}
            id={`${list}-${i}`}
            role="option"
            aria-selected={i === current}
            tabIndex={-1}
            ref={i === current ? (element) => element?.scrollIntoView({ block: 'nearest' }) : undefined}
            onPointerMove={() => i !== current && setChosen(i)}
            onClick={() => run(command)}
            onKeyDown={onKeyDown}
            className={classNames(
              'flex h-9 cursor-pointer items-center justify-between rounded-md px-3',
              i === current && 'bg-accent-wash text-accent',
            )}
          >
            <span>{command.name}</span>
            <span className="text-ink-3 text-xs">{command.group}</span>
          </div>
        ))}
        {matches.length === 0 && <p className="px-3 py-6 text-center text-ink-3">No command is named like that.</p>}
      </div>
    </div>
  );
}

function useCommands(onHelp: () => void): readonly Command[] {
  const navigate = useNavigate();
  const { state, change, set } = useExplorerState();
  return useMemo(
    () => [
      { group: 'Go to', name: 'Explorer', run: () => void navigate({ to: '/explorer' }) },
      { group: 'Go to', name: 'Ledger', run: () => void navigate({ to: '/ledger' }) },
      { group: 'Filter', name: 'Clear all filters', run: () => set(clearFilters(state)) },
      ...outcomeStatuses.map((status) => ({
        group: 'Filter',
        name: `Only outcome ${outcomeLabels[status].toLowerCase()}`,
        run: () => change({ outcome: status }),
      })),
      ...presets.map((preset) => ({
        group: 'Time',
        name: presetLabels[preset],
        run: () => change({ range: preset, from: undefined, to: undefined }),
      })),
      { group: 'Time', name: 'Show times in UTC', run: () => change({ zone: 'utc' }) },
      { group: 'Time', name: 'Show times in the zone here', run: () => change({ zone: undefined }) },
      { group: 'Theme', name: 'Light', run: () => chooseTheme('light') },
      { group: 'Theme', name: 'Dark', run: () => chooseTheme('dark') },
      { group: 'Theme', name: 'As the system', run: () => chooseTheme('system') },
      { group: 'Help', name: 'Keyboard and searching', run: onHelp },
    ],
    [navigate, change, set, state, onHelp],
  );
}
