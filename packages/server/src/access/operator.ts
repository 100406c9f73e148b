/**
 * The local operator: whoever can read `keys/operator.token` on the machine. The token is made at the first start, and
 * replaced by removing the file and starting again.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import type { World } from '../world/world.ts';
import type { Operator, OperatorPrincipal } from './access.ts';
import { authenticatedBy } from './change.ts';
import { freshSecret, keepKeyFile } from './key-file.ts';

const tokenPattern = /^wgo_[A-Za-z0-9_-]{43}$/;

export async function openOperator(world: World, keysDir: string): Promise<Operator> {
  const token = await keepKeyFile({
    world,
    path: join(keysDir, 'operator.token'),
    make: () => freshSecret(world, 'wgo_'),
    valid: (text) => tokenPattern.test(text),
  });
  const expected = hash('sha256', token, 'buffer');
  return {
    verify(candidate) {
      if (!tokenPattern.test(candidate)) return undefined;
      return timingSafeEqual(hash('sha256', candidate, 'buffer'), expected) ? operatorAt(world.clock.now()) : undefined;
    },
  };
}

function operatorAt(nowMs: number): OperatorPrincipal {
  return {
    kind: 'operator',
    id: 'operator',
    username: 'operator',
    name: 'Operator',
    roles: ['operator'],
    authentication: authenticatedBy('operator-token', nowMs),
  };
}
