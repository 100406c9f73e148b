/** A modal dialog: help, palette, decisions. Everything else opens in place. */
import { Dialog } from 'radix-ui';
import type { ReactElement, ReactNode } from 'react';
import { classNames } from './class-names.ts';

export interface ModalProps {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
  readonly title: string;
  /** Read out, not shown. */
  readonly description: string;
  readonly titleHidden?: boolean;
  readonly className?: string;
  readonly children: ReactNode;
}

export function Modal({
  open,
  onOpenChange,
  title,
  description,
  titleHidden = false,
  className,
  children,
}: ModalProps): ReactElement {
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/30 dark:bg-black/60" />
        <Dialog.Content
          data-modal=""
          className={classNames(
            'appear fixed top-[12vh] left-1/2 z-50 max-h-[76vh] w-[calc(100vw-32px)] max-w-lg -translate-x-1/2 overflow-auto rounded-xl bg-raised shadow-panel outline-none',
            className,
          )}
        >
          <Dialog.Title className={titleHidden ? 'sr-only' : 'px-6 pt-5 pb-2 text-lg font-semibold'}>
            {title}
          </Dialog.Title>
          <Dialog.Description className="sr-only">{description}</Dialog.Description>
          {children}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
