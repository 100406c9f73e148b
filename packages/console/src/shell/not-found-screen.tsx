/** An address that leads nowhere. */
import type { ReactElement } from 'react';
import { buttonClass } from '../ui/button.tsx';
import { MessageScreen } from '../ui/message-screen.tsx';

export function NotFoundScreen(): ReactElement {
  return (
    <MessageScreen
      title="There is no such screen"
      actions={
        <a href="/explorer" className={buttonClass('plain')}>
          Go to the Explorer
        </a>
      }
    >
      <p>The address may be mistyped, or belong to a screen of a newer version.</p>
    </MessageScreen>
  );
}
