/** Whose log is looked at, where there are several; the choice is a part of the URL. */
import { useNavigate } from '@tanstack/react-router';
import { Building2, Check, ChevronsUpDown } from 'lucide-react';
import { DropdownMenu } from 'radix-ui';
import type { ReactElement } from 'react';
import { useTenant } from '../ledger/use-log.ts';

export interface TenantMenuProps {
  readonly tenants: readonly string[];
  /** The person's own stands in no URL. */
  readonly own: string;
}

export function TenantMenu({ tenants, own }: TenantMenuProps): ReactElement {
  const shown = useTenant();
  const navigate = useNavigate();
  const choose = (tenant: string): void => {
    // Filters and the open event belong to the tenant one comes from.
    void navigate({ to: '.', search: (tenant === own ? {} : { tenant }) as never });
  };
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="flex h-8 min-w-0 items-center gap-2 rounded-md border border-line-strong bg-surface px-2 hover:bg-hover data-[state=open]:bg-hover">
        <Building2 className="size-4 shrink-0 text-ink-3" aria-hidden="true" />
        <span className="sr-only">Tenant </span>
        <span className="min-w-0 flex-1 truncate text-left font-medium">{shown}</span>
        <ChevronsUpDown className="size-3.5 shrink-0 text-ink-3" aria-hidden="true" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align="start"
          sideOffset={6}
          collisionPadding={8}
          className="appear z-50 max-h-[60vh] min-w-46 overflow-y-auto rounded-lg bg-raised p-1 shadow-panel"
        >
          <DropdownMenu.RadioGroup value={shown} onValueChange={choose}>
            {tenants.map((tenant) => (
              <DropdownMenu.RadioItem
                key={tenant}
                value={tenant}
                className="flex h-8 items-center gap-2 rounded px-2 text-ink outline-none data-[highlighted]:bg-hover data-[state=checked]:text-accent"
              >
                <span className="w-4">
                  <DropdownMenu.ItemIndicator>
                    <Check className="size-4" aria-hidden="true" />
                  </DropdownMenu.ItemIndicator>
                </span>
                {tenant}
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
