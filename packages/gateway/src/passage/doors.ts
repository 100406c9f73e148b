/** The paths of the listener that the gateway answers itself, as its configuration has them. */
import type { Route } from '../exposure/route.ts';
import type { Cors } from '../http/cors.ts';
import type { Identity } from '../identity/identity.ts';
import type { Door } from './door.ts';
import { LogoutDoor } from './logout-door.ts';
import { PreflightDoor } from './preflight-door.ts';
import { SmartDoor } from './smart-door.ts';

export function openDoors(
  config: { readonly routes: readonly Route[]; readonly identity: { readonly logoutPath?: string | undefined } },
  { logout, smart, cors }: Pick<Identity, 'logout' | 'smart'> & { readonly cors: Cors },
): readonly Door[] {
  const { logoutPath } = config.identity;
  return [
    ...(logout === undefined || logoutPath === undefined ? [] : [new LogoutDoor(logoutPath, logout)]),
    ...(smart === undefined ? [] : [new SmartDoor(config.routes, smart)]),
    new PreflightDoor(config.routes, cors),
  ];
}
