/** Buttons: `primary` once a screen, `plain` for the rest, `quiet` inside tables and bars. */
import type { ButtonHTMLAttributes, ReactElement, Ref } from 'react';
import { classNames } from './class-names.ts';

export type ButtonTone = 'primary' | 'plain' | 'quiet' | 'danger';

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly tone?: ButtonTone;
  /** Square, for an icon; give it an `aria-label`. */
  readonly icon?: boolean;
  readonly ref?: Ref<HTMLButtonElement>;
}

const tones: Readonly<Record<ButtonTone, string>> = {
  primary: 'bg-accent text-on-accent hover:bg-accent-strong border border-transparent',
  plain: 'bg-surface text-ink border border-line-strong hover:bg-hover',
  quiet: 'text-ink-2 border border-transparent hover:bg-hover hover:text-ink',
  danger: 'bg-surface text-red border border-red-mark hover:bg-red-wash',
};

export function buttonClass(tone: ButtonTone, icon = false): string {
  return classNames(
    'inline-flex h-8 shrink-0 select-none items-center justify-center gap-1.5 whitespace-nowrap rounded-md text-sm font-medium transition-colors duration-75',
    'disabled:opacity-45 aria-pressed:border-accent aria-pressed:bg-accent-wash aria-pressed:text-accent',
    icon ? 'w-8' : 'px-3',
    tones[tone],
  );
}

export function Button({
  tone = 'plain',
  icon = false,
  className,
  type = 'button',
  ...rest
}: ButtonProps): ReactElement {
  return <button type={type} className={classNames(buttonClass(tone, icon), className)} {...rest} />;
}
