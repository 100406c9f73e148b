/** An empty Explorer: how to send the first event, with a curl that works as it stands. */
import type { ReactElement } from 'react';
import { CopyButton } from '../ui/copy-button.tsx';
import { MessageScreen } from '../ui/message-screen.tsx';
import { firstEventCommand } from './first-event-command.ts';

export interface FirstEventProps {
  readonly demo: boolean;
  /** Watchglass's own events are there already. */
  readonly ownOnly?: boolean;
  readonly actions?: ReactElement;
}

export function FirstEvent({ demo, ownOnly = false, actions }: FirstEventProps): ReactElement {
  const command = firstEventCommand(window.location.origin);
  return (
    <MessageScreen title={ownOnly ? 'Nothing from your systems yet' : 'No events yet'} actions={actions}>
      <p>
        {ownOnly && 'So far these are Watchglass’s own events. '}Send one, and it stands here within a second, sealed.
        Put your write key in place of {'wgk_…'}:
      </p>
      <div className="relative w-full">
        <pre className="mono overflow-x-auto rounded-lg border border-line bg-sunken p-4 pr-12 text-ink text-xs leading-5">
          {command}
        </pre>
        <CopyButton text={command} what="command" className="absolute top-3 right-3" />
      </div>
      <p className="text-sm">
        {demo ? (
          <>
            The demo’s write key stands in <span className="mono">demo.json</span> as{' '}
            <span className="mono">writeKey</span>.
          </>
        ) : (
          'An administrator makes write keys; each belongs to one tenant and may only write.'
        )}
      </p>
    </MessageScreen>
  );
}
