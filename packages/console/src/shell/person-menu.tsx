/** Who is signed in, the theme, the help and the way out. */
import { useQueryClient } from '@tanstack/react-query';
import { ChevronsUpDown, CircleHelp, LogOut } from 'lucide-react';
import { DropdownMenu } from 'radix-ui';
import type { ReactElement } from 'react';
import { type Person, signOut } from '../api/client.ts';
import { plainWords } from '../text/labels.ts';
import { chooseTheme, themeChoices, useThemeChoice } from './theme-choice.ts';

const item =
  'flex h-8 items-center gap-2 rounded px-2 text-sm text-ink outline-none data-[highlighted]:bg-hover data-[state=checked]:text-accent';
const themeNames = { system: 'As the system', light: 'Light', dark: 'Dark' } as const;

export function PersonMenu({ person, onHelp }: { readonly person: Person; readonly onHelp: () => void }): ReactElement {
  const client = useQueryClient();
  const theme = useThemeChoice();
  const name = person.name ?? person.username;
  const leave = (): void => {
    signOut().then(
      () => {
        client.clear();
        window.location.assign('/');
      },
      () => void client.invalidateQueries({ queryKey: ['session'] }),
    );
  };
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="flex min-h-8 items-center gap-2 rounded-md p-1 text-left hover:bg-hover md:px-2 data-[state=open]:bg-hover">
        <span
          aria-hidden="true"
          className="grid size-6 shrink-0 place-items-center rounded-full bg-accent-wash text-2xs font-semibold text-accent"
        >
          {initials(name)}
        </span>
        <span className="sr-only">Account of </span>
        <span className="sr-only min-w-0 flex-1 md:not-sr-only md:block">
          <span className="block truncate text-sm font-medium">{name}</span>
          <span className="block truncate text-2xs text-ink-3">{person.roles.map(plainWords).join(', ')}</span>
        </span>
        <ChevronsUpDown className="hidden size-3.5 text-ink-3 md:block" aria-hidden="true" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align="end"
          side="top"
          sideOffset={6}
          collisionPadding={8}
          className="appear z-50 min-w-52 rounded-lg bg-raised p-1 shadow-panel"
        >
          <DropdownMenu.Label className="px-2 py-1.5 text-xs text-ink-3">
            Signed in as <span className="mono text-ink-2">{person.username}</span>
          </DropdownMenu.Label>
          <DropdownMenu.Separator className="my-1 h-px bg-line" />
          <DropdownMenu.Label className="px-2 pt-1 pb-0.5 text-2xs text-ink-3">Theme</DropdownMenu.Label>
          <DropdownMenu.RadioGroup
            value={theme}
            onValueChange={(value) => chooseTheme(themeChoices.find((choice) => choice === value) ?? 'system')}
          >
            {themeChoices.map((choice) => (
              <DropdownMenu.RadioItem
                key={choice}
                value={choice}
                className={item}
                onSelect={(event) => event.preventDefault()}
              >
                <span className="w-4">
                  <DropdownMenu.ItemIndicator>✓</DropdownMenu.ItemIndicator>
                </span>
                {themeNames[choice]}
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
          <DropdownMenu.Separator className="my-1 h-px bg-line" />
          <DropdownMenu.Item className={item} onSelect={onHelp}>
            <CircleHelp className="size-4 text-ink-3" aria-hidden="true" />
            Keyboard
          </DropdownMenu.Item>
          <DropdownMenu.Item className={item} onSelect={leave}>
            <LogOut className="size-4 text-ink-3" aria-hidden="true" />
            Sign out
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

function initials(name: string): string {
  const words = name.split(/[\s.-]+/).filter(Boolean);
  return `${words[0]?.[0] ?? '?'}${words.length > 1 ? (words.at(-1)?.[0] ?? '') : ''}`.toUpperCase();
}
