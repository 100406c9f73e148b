/** Reads what the clients of the embedded issuer are known by: a secret, or their public keys. What can't be read stops the start. */
import type { JWK } from 'jose';
import { z } from 'zod';
import { readKeyFile } from '../access/key-file.ts';
import { ServerError } from '../errors.ts';
import type { IssuerClient } from '../issuer/issuer-client.ts';
import type { World } from '../world/world.ts';
import type { IssuerClientSettings } from './issuer.ts';

const secretCharsMin = 32;
const jwksSchema = z.object({
  keys: z
    .array(
      z.custom<JWK>((key) => isPublicKey(key), { error: 'expected a public key: kty of RSA, EC or OKP, and no d' }),
    )
    .min(1)
    .max(16),
});

function isPublicKey(key: unknown): boolean {
  if (typeof key !== 'object' || key === null || 'd' in key) return false;
  return ['RSA', 'EC', 'OKP'].includes(String((key as JWK).kty));
}

/** @throws ServerError `config-invalid`, `key-file-exposed` */
export async function readIssuerClients(
  world: World,
  clients: readonly IssuerClientSettings[],
): Promise<readonly IssuerClient[]> {
  return await Promise.all(
    clients.map(async ({ secretFile, jwksFile, ...client }) => ({
      ...client,
      ...(secretFile === undefined ? {} : { secret: await readSecret(world, client.id, secretFile) }),
      ...(jwksFile === undefined ? {} : { jwks: await readKeys(world, client.id, jwksFile) }),
    })),
  );
}

async function readSecret(world: World, id: string, path: string): Promise<string> {
  const secret = await readKeyFile(world, path);
  if (secret === undefined || secret.length < secretCharsMin) {
    throw new ServerError(
      'config-invalid',
      `issuer.clients: ${path} holds no secret of ${secretCharsMin} characters for ${id}; put one there, mode 0600`,
    );
  }
  return secret;
}

async function readKeys(world: World, id: string, path: string): Promise<NonNullable<IssuerClient['jwks']>> {
  const bytes = await world.disk.readFile(path);
  try {
    return jwksSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new ServerError(
      'config-invalid',
      `issuer.clients: expected the public keys of ${id} as a JWK set in ${path}, with no private member`,
      { cause },
    );
  }
}
