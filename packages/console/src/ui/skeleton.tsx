/** The shape of what is coming, in place of a spinner. */
import type { ReactElement } from 'react';
import { classNames } from './class-names.ts';

export function Skeleton({ className }: { readonly className?: string }): ReactElement {
  return <span aria-hidden="true" className={classNames('skeleton block', className)} />;
}
