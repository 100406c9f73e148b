/** The keys, and how to write a search. */
import type { ReactElement } from 'react';
import { Kbd } from '../ui/kbd.tsx';
import { Modal } from '../ui/modal.tsx';
import { shortcuts } from './shortcuts.ts';

export interface HelpDialogProps {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
}

const examples: readonly (readonly [string, string])[] = [
  ['patient:wg-pt-000417', 'what happened to a patient; the id stays in this browser’s memory and the request’s body'],
  ['actor:p-17 outcome:denied', 'what a person was refused'],
  ['resource:Observation/42', 'one resource'],
  ['10.4.0.12', 'anything else is looked for in actor, operation, route, client, address and type'],
];

export function HelpDialog({ open, onOpenChange }: HelpDialogProps): ReactElement {
  return (
    <Modal open={open} onOpenChange={onOpenChange} title="Keyboard" description="Keys of the console and how to search">
      <dl className="gap-x-8 px-6 pb-4 sm:columns-2">
        {shortcuts.map(({ keys, does }) => (
          <div key={does} className="flex h-8 break-inside-avoid items-center justify-between gap-4">
            <dt className="text-ink-2">{does}</dt>
            <dd className="flex gap-1">
              {keys.map((key) => (
                <Kbd key={key}>{key}</Kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <div className="border-line border-t px-6 pt-4 pb-6">
        <h3 className="mb-2 text-sm font-semibold">Searching</h3>
        <dl className="flex flex-col gap-2">
          {examples.map(([text, meaning]) => (
            <div key={text}>
              <dt className="mono text-ink">{text}</dt>
              <dd className="text-ink-3 text-xs">{meaning}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Modal>
  );
}
