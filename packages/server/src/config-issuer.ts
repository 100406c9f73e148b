/** The `issuer.clients` part of `watchglass.yaml`: the applications that sign people in at the embedded issuer, beside the console. */
import { z } from 'zod';

export interface IssuerClientSettings {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly secretFile?: string;
  readonly jwksFile?: string;
  readonly refresh: boolean;
  readonly dpop: boolean;
}

export const issuerClientsWords: string =
  'Applications that sign people in at the embedded issuer, a list of `id`, `name`, `redirectUris`, `secretFile` or `jwksFile` (docs/identity.md), `refresh`, `dpop`.';

interface IssuerClientKeys {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly secretFile?: string | undefined;
  readonly jwksFile?: string | undefined;
  readonly refresh: boolean;
  readonly dpop: boolean;
}

export const issuerClientsSchema: z.ZodType<readonly IssuerClientKeys[]> = z
  .array(
    z
      .strictObject({
        id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected 1 to 64 of A-Z a-z 0-9 . _ -'),
        name: z.string().min(1).max(64),
        redirectUris: z.array(z.url()).min(1).max(16),
        secretFile: z.string().min(1).optional(),
        jwksFile: z.string().min(1).optional(),
        refresh: z.boolean().default(false),
        dpop: z.boolean().default(false),
      })
      .refine(({ secretFile, jwksFile }) => secretFile === undefined || jwksFile === undefined, {
        error: 'expected secretFile or jwksFile, got both; remove one',
      }),
  )
  .max(100);

export function buildIssuerClients(
  clients: readonly IssuerClientKeys[],
  at: (path: string) => string,
): readonly IssuerClientSettings[] {
  return clients.map(({ secretFile, jwksFile, ...client }) => ({
    ...client,
    ...(secretFile === undefined ? {} : { secretFile: at(secretFile) }),
    ...(jwksFile === undefined ? {} : { jwksFile: at(jwksFile) }),
  }));
}
