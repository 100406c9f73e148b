/** Which rows of a long list are near the view. Rows have one height, so this is arithmetic. */
import { type RefObject, useEffect, useState } from 'react';

export interface RowWindow {
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

const overscanRows = 12;

export function useWindowedRows(scroller: RefObject<HTMLElement | null>, rowPx: number, count: number): RowWindow {
  const [view, setView] = useState({ top: 0, height: 900 });
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = (): void => setView({ top: element.scrollTop, height: element.clientHeight });
    measure();
    element.addEventListener('scroll', measure, { passive: true });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', measure);
      observer.disconnect();
    };
  }, [scroller]);
  const first = Math.max(0, Math.min(Math.floor(view.top / rowPx) - overscanRows, count));
  return { first, end: Math.min(count, first + Math.ceil(view.height / rowPx) + 2 * overscanRows) };
}
