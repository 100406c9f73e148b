/** The paths of the listener that the gateway answers itself, as its configuration has them. */
import type { Route } from '../exposure/route.ts';
import type { Identity } from '../identity/identity.ts';
import type { Door } from './door.ts';
import { LogoutDoor } from './logout-door.ts';
import { SmartDoor } from './smart-door.ts';

export function openDoors(
  config: { readonly routes: readonly Route[]; readonly identity: { readonly logoutPath?: string | undefined } },
  { logout, smart }: Pick<Identity, 'logout' | 'smart'>,
): readonly Door[] {
  const { logoutPath } = config.identity;
  return [
    ...(logout === undefined || logoutPath === undefined ? [] : [new LogoutDoor(logoutPath, logout)]),
    ...(smart === undefined ? [] : [new SmartDoor(config.routes, smart)]),
  ];
}
