/** A file that a configuration names: what it should be is said with where it isn't. */
import { readFileSync } from 'node:fs';

import { GatewayError } from '../errors.ts';

export function readNamedFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new GatewayError(
      'config-unreadable',
      `expected ${what} in ${path}, got ${reason}; check the path and who may read it`,
      { cause },
    );
  }
}
