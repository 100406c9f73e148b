/** Keys: one listener a screen, silent while somebody types, and the list that the help shows. */
import { useEffect, useRef } from 'react';

export interface Shortcut {
  readonly keys: readonly string[];
  readonly does: string;
}

/** Everything `?` lists, in its order. */
export const shortcuts: readonly Shortcut[] = [
  { keys: ['/'], does: 'Search' },
  { keys: ['j'], does: 'Next event' },
  { keys: ['k'], does: 'Previous event' },
  { keys: ['Enter'], does: 'Open the event' },
  { keys: ['Esc'], does: 'Close the panel' },
  { keys: ['['], does: 'Earlier time range' },
  { keys: [']'], does: 'Later time range' },
  { keys: ['r'], does: 'Refresh' },
  { keys: ['l'], does: 'Live on or off' },
  { keys: ['⌘K', 'Ctrl K'], does: 'Command palette' },
  { keys: ['?'], does: 'This help' },
];

/** A key, named as `KeyboardEvent.key` with `mod+` before it for Ctrl or ⌘, and what it does. */
export type KeyAction = readonly [key: string, run: (event: KeyboardEvent) => void];

export function useKeys(actions: readonly KeyAction[]): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.altKey) return;
      const mod = event.metaKey || event.ctrlKey;
      if (!mod && (isTyping(event.target) || isInModal(event.target))) return;
      const pressed = mod ? `mod+${event.key.toLowerCase()}` : event.key;
      latest.current.find(([key]) => key === pressed)?.[1](event);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

function isInModal(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('[data-modal], [role="menu"]') !== null;
}
