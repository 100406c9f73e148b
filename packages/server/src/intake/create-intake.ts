/**
 * The HTTP door for events, put together: key → bytes → events → ledger → receipts.
 */
import type { TenantId } from '@watchglass/record';
import type { WriteKey } from '../access/access.ts';
import { ServerError } from '../errors.ts';
import type { Appended } from '../ledger/ledger.ts';
import { asRefusal } from '../review/ledger-refusal.ts';
import { RefusalTally } from '../review/refusal-tally.ts';
import { DoorSequence, type Numbered } from './door-sequence.ts';
import type { Intake, IntakeAnswer, IntakeDeps, IntakeRequest, IntakeStatistics } from './intake.ts';
import { type PreparedBatch, prepareEvents } from './prepare-events.ts';
import { BytesInFlight, readBody } from './read-body.ts';
import { kindOf, splitBody } from './split-body.ts';

/** Six years (45 CFR 164.316(b)(2)(i)) and a month for what arrives late. */
const ageMaxDefaultMs = (6 * 365.25 + 31) * 86_400_000;

interface Appending {
  readonly numbers: PreparedBatch['numbers'];
  readonly appended: Promise<Appended>;
}

export function createIntake(deps: IntakeDeps): Intake {
  return new HttpIntake(deps);
}

class HttpIntake implements Intake {
  readonly #deps: IntakeDeps;
  readonly #inFlight: BytesInFlight = new BytesInFlight();
  readonly #sequence: DoorSequence;
  readonly #tally: RefusalTally;
  readonly #refused: Map<string, number> = new Map();
  #accepted = 0;
  #duplicates = 0;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
    this.#tally = new RefusalTally({ world: deps.world, record: deps.record, tenant: deps.homeTenant });
    this.#sequence = new DoorSequence(
      (tenant, emitter) => deps.ledger.emitters(tenant).find(({ id }) => id === emitter)?.lastSeq ?? 0,
    );
  }

  async take(request: IntakeRequest): Promise<IntakeAnswer> {
    try {
      return await this.#take(request);
    } catch (error) {
      const refusal = asRefusal(error);
      const code = refusal instanceof ServerError ? refusal.code : 'internal';
      this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
      throw refusal;
    }
  }

  statistics(): IntakeStatistics {
    return {
      accepted: this.#accepted,
      duplicates: this.#duplicates,
      refused: Object.fromEntries(this.#refused),
      bytesInFlight: this.#inFlight.bytes,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tally[Symbol.asyncDispose]();
  }

  async #take(request: IntakeRequest): Promise<IntakeAnswer> {
    const key = this.#keyOf(request);
    // What can be refused without the body is refused before it is read.
    kindOf(request.contentType);
    if (this.#deps.ledger.state.kind === 'read-only') throw new ServerError('read-only');
    const { bytes, takenBytes } = await readBody(request, this.#inFlight);
    try {
      return await this.#store(bytes, request.contentType, key);
    } finally {
      this.#inFlight.give(takenBytes);
    }
  }

  #keyOf({ authorization, address }: IntakeRequest): WriteKey {
    const [, secret] = /^Bearer (wgk_[A-Za-z0-9_-]{1,128})$/i.exec(authorization ?? '') ?? [];
    const key = secret === undefined ? undefined : this.#deps.writeKeys.verify(secret);
    if (key !== undefined) return key;
    const code = (authorization ?? '') === '' ? 'unauthenticated' : 'write-key-invalid';
    this.#tally.add({ operation: 'write-key', code, address });
    throw new ServerError(
      code,
      'expected `Authorization: Bearer wgk_…` with a write key that is not revoked; an administrator can make one',
    );
  }

  async #store(bytes: Uint8Array, contentType: string | undefined, key: WriteKey): Promise<IntakeAnswer> {
    const { ledger, world, ageMaxMs = ageMaxDefaultMs } = this.#deps;
    const body = splitBody(bytes, contentType);
    const count = body.items.length;
    let appending: Appending;
    try {
      appending = this.#append(key, await prepareEvents(body, key, { world, sequence: this.#sequence, ageMaxMs }));
    } catch (error) {
      ledger.countRefused(key.tenant, count);
      throw error;
    }
    const { numbers } = appending;
    try {
      const { receipts, checkpoint } = await appending.appended;
      receipts.forEach(({ id, duplicate }, position) => {
        this.#settle(key.tenant, numbers[position], id, duplicate);
      });
      const duplicates = receipts.filter(({ duplicate }) => duplicate).length;
      this.#duplicates += duplicates;
      this.#accepted += receipts.length - duplicates;
      return {
        receipts: receipts.map(({ id, index, leaf }) => ({ id, index, leaf: base64(leaf) })),
        checkpoint,
      };
    } catch (error) {
      for (const number of numbers) if (number !== undefined) this.#sequence.giveBack(key.tenant, number);
      ledger.countRefused(key.tenant, count);
      throw asRefusal(error);
    }
  }

  /** What is kept while the disk works: nothing of the events themselves. */
  #append(key: WriteKey, { items, numbers }: PreparedBatch): Appending {
    return { numbers, appended: this.#deps.ledger.append(key.tenant, items) };
  }

  #settle(tenant: TenantId, number: Numbered | undefined, id: string, duplicate: boolean): void {
    if (number === undefined) return;
    if (duplicate && !number.again) this.#sequence.giveBack(tenant, number);
    else this.#sequence.used(tenant, number, id);
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
