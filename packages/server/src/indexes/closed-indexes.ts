/** The indexes of a server that may store records and not open them: there are none, and every question is answered with why. */
import { ServerError } from '../errors.ts';
import type { Indexes } from './indexes.ts';

export function closedIndexes(): Indexes {
  const refuse = (): Promise<never> => Promise.reject(new ServerError('reading-forbidden'));
  return {
    follow: async () => undefined,
    forget: async () => undefined,
    find: refuse,
    summarise: refuse,
    reached: refuse,
    matcher() {
      throw new ServerError('reading-forbidden');
    },
    status: () => [],
    pseudonyms() {
      throw new ServerError('reading-forbidden');
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
