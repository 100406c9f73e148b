/**
 * Key-encryption keys and witness policies: what the logs say of them, and what `keys/keyring.json` and `witnesses/` hold. A key made current by hand would have everything
 * new wrapped for whoever holds it; one that the log says is destroyed must not be there.
 */
import { type HeardRecord, type HeldFacts, type Listener, type SaidFacts, saidAt } from '../access/facts.ts';
import { readKeyringFile } from '../ledger/kek/keyring-file.ts';
import { readMemory } from '../ledger/witness/witness-memory.ts';
import type { World } from '../world/world.ts';

export class KeyListener implements Listener {
  readonly said: SaidFacts = new Map();

  hear({ record, tenant, index, tell }: HeardRecord): void {
    const { submitter, event } = record;
    const [target] = event.targets ?? [];
    if (submitter !== 'self' || event.kind !== 'access-change' || target?.type !== 'KeyEncryptionKey') return;
    const say = (name: string, value: string | null): unknown => this.said.set(name, { value, tenant, index });
    if (event.operation === 'kek-current') {
      const current = saidAt(record, '/keys/current');
      const ring = saidAt(record, '/keys/ring');
      if (current === undefined) tell('own-event-invalid', 'the id of a key at /keys/current', 'none');
      // Before events said whose ring it is.
      else if (ring === undefined) for (const name of ringNames(tenant)) say(name, null);
      else say(`current/${ring === 'own' ? tenant : '*'}`, current);
    } else if (event.operation === 'kek-destroyed') say(`keks/${target.id}`, saidAt(record, '/keys/state') ?? null);
  }
}

function ringNames(tenant: string): string[] {
  return [`current/${tenant}`, 'current/*'];
}

/**
 * What the keyring holds; undefined where there is none. Which key was the first, no event says: a ring is compared once it turned.
 *
 * @throws LedgerError `keyring-invalid`
 */
export async function readKeyFacts(
  world: World,
  keysDir: string,
  { said, tenant }: { readonly said: SaidFacts; readonly tenant: string },
): Promise<HeldFacts | undefined> {
  const file = await readKeyringFile(world, keysDir);
  if (file === undefined) return undefined;
  const facts: HeldFacts = new Map();
  const rings = [['*', file.shared] as const, ...Object.entries(file.tenants)];
  for (const [name, ring] of rings) {
    const of = name === '*' ? tenant : name;
    const current = ring.current ?? file.shared.current;
    if (current !== null && said.has(`current/${name}`)) facts.set(`current/${name}`, { value: current, tenant: of });
    for (const { id, state, until } of ring.keks)
      if (state !== 'there')
        facts.set(`keks/${id}`, { value: state === 'ending' ? `ending ${until}` : state, tenant: of });
  }
  return facts;
}

export class WitnessListener implements Listener {
  readonly said: SaidFacts = new Map();

  hear({ record, tenant, index, tell }: HeardRecord): void {
    const { submitter, event } = record;
    if (submitter !== 'self' || event.kind !== 'system' || event.operation !== 'witness-policy') return;
    const value = saidAt(record, '/sha256');
    if (value === undefined || !/^[0-9a-f]{64}$/.test(value))
      tell('own-event-invalid', 'the SHA-256 of a policy at /sha256', 'none, or another form');
    // `witnesses/` may be deleted: it is then recorded again.
    else this.said.set(tenant, { value, tenant, index, mayLack: true });
  }
}

/** Which policies were recorded, as `witnesses/` has it. @throws where a file of it is damaged */
export async function readWitnessFacts(world: World, dir: string): Promise<HeldFacts> {
  const facts: HeldFacts = new Map();
  for (const name of await world.disk.list(dir)) {
    const [, tenant] = /^([a-z][a-z0-9-]*)\.json$/.exec(name) ?? [];
    if (tenant === undefined) continue;
    const memory = await readMemory(world, `${dir}/${name}`);
    if (memory === undefined) throw new TypeError('damaged');
    if (memory.recorded !== undefined) facts.set(tenant, { value: memory.recorded, tenant });
  }
  return facts;
}
