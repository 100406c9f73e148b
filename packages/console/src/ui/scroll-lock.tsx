/**
 * Stands in for `react-remove-scroll` (see vite.config.ts): locks the page behind a modal dialog by an attribute and a
 * rule of theme.css, where that library writes a <style> element that the Content-Security-Policy refuses.
 */
import { Slot } from 'radix-ui';
import { type ReactElement, type ReactNode, useLayoutEffect } from 'react';

export interface RemoveScrollProps {
  readonly children?: ReactNode;
}

let locks = 0;

export function RemoveScroll({ children }: RemoveScrollProps): ReactElement {
  useLayoutEffect(() => {
    locks++;
    document.documentElement.toggleAttribute('data-scroll-locked', true);
    return () => {
      locks--;
      document.documentElement.toggleAttribute('data-scroll-locked', locks > 0);
    };
  }, []);
  return <Slot.Root>{children}</Slot.Root>;
}
