/**
 * `keys/keyring.json`: which key-encryption keys there are, where each is kept, what became of it, and which one is current. Holds no secret. It is there
 * once anything differs from the one key in `keys/kek`; it is replaced by rename, and only by the process that holds the ledger's lock.
 */
import { z } from 'zod';
import type { World } from '../../world/world.ts';
import { LedgerError } from '../errors.ts';
import type { KekSettings } from './settings.ts';

export interface KekEntry {
  /** As wrapped files name it. */
  readonly id: string;
  /** What its provider knows it by. */
  readonly locator: string;
  readonly settings: KekSettings;
  /** `ending`: its keeper destroys it at `until`, and can still call it back. */
  readonly state: 'there' | 'ending' | 'destroyed';
  /** When it became part of the ring. */
  readonly since: string;
  readonly until?: string;
}

export interface StoredRing {
  /** Id of the current key; null where the tenant uses the installation's again. */
  readonly current: string | null;
  readonly keks: readonly KekEntry[];
}

export interface KeyringFile {
  readonly v: 1;
  readonly shared: StoredRing;
  readonly tenants: Readonly<Record<string, StoredRing>>;
}

const text = z.string().min(1).max(1024);
const secret = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('file'), path: text }),
  z.strictObject({ kind: z.literal('environment'), name: text }),
]);
const credentials = z.union([secret, z.strictObject({ kind: z.literal('instance') })]);

/** How a key is reached: the forms of settings.ts. */
const settings = z.discriminatedUnion('provider', [
  z.strictObject({ provider: z.literal('local') }),
  z.strictObject({ provider: z.literal('passphrase'), passphrase: secret }),
  z.strictObject({ provider: z.literal('aws-kms'), key: text, region: text, endpoint: text.optional(), credentials }),
  z.strictObject({ provider: z.literal('google-kms'), key: text, endpoint: text.optional(), credentials }),
  z.strictObject({
    provider: z.literal('azure-key-vault'),
    key: text,
    algorithm: z.enum(['RSA-OAEP-256', 'A256KW']),
    credentials,
    authority: text.optional(),
  }),
  z.strictObject({
    provider: z.literal('vault-transit'),
    key: text,
    address: text,
    mount: text,
    namespace: text.optional(),
    token: secret,
    ca: text.optional(),
  }),
  z.strictObject({ provider: z.literal('pkcs11'), key: text, module: text, token: text, pin: secret }),
]);

const entry = z.strictObject({
  id: text,
  locator: text,
  settings,
  state: z.enum(['there', 'ending', 'destroyed']),
  since: text,
  until: text.optional(),
});

const ring = z.strictObject({
  current: text.nullable(),
  keks: z.array(entry).max(1_000),
});

// zod's optional members may also be undefined, which JSON can't say.
const schema = z.strictObject({
  v: z.literal(1),
  shared: ring,
  tenants: z.record(text, ring),
}) as unknown as z.ZodType<KeyringFile>;

const name = 'keyring.json';

/** Undefined when there is none. @throws LedgerError `keyring-invalid` */
export async function readKeyringFile(world: World, keysDir: string): Promise<KeyringFile | undefined> {
  const bytes = await world.disk.readFile(`${keysDir}/${name}`);
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as it should be'}`);
  }
  for (const one of [parsed.data.shared, ...Object.values(parsed.data.tenants)]) {
    const current = one.keks.find(({ id }) => id === one.current);
    if (one.current !== null && current?.state !== 'there')
      throw invalid('the current key of a ring is not there in it');
  }
  return parsed.data;
}

export async function writeKeyringFile(world: World, keysDir: string, file: KeyringFile): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(schema.parse(file), null, 2)}\n`);
  await world.disk.makeDirectory(keysDir);
  await world.disk.replace(`${keysDir}/${name}`, bytes, { mode: 0o600 });
}

function invalid(why: string, cause?: unknown): LedgerError {
  return new LedgerError(
    'keyring-invalid',
    `keys/${name} can't be used (${why}); restore it from its backup`,
    {},
    cause,
  );
}
