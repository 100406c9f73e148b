/**
 * Histories of a ledger and its witnesses over a network that delays, loses, repeats and hangs, with a witness that lies and others that crash; and in each the
 * ledger is put back to an older copy once. What must hold: no honest witness ever cosigns two trees; the older copy goes read-only before it signs anything; and the
 * log that succeeds it is cosigned again.
 */
import { dirname } from 'node:path';
import {
  cosignerOf,
  decode,
  formatVerifierKey,
  generateSigner,
  parseAddCheckpoint,
  parseCheckpoint,
  parsePolicy,
  parseVerifierKey,
  type Verifier,
} from '../../packages/record/src/index.ts';
import type { Ledger } from '../../packages/server/src/ledger/ledger.ts';
import { openLedger } from '../../packages/server/src/ledger/open-ledger.ts';
import { succeed } from '../../packages/server/src/ledger/succeed.ts';
import { Witnessing } from '../../packages/server/src/ledger/witness/witnessing.ts';
import { Witness } from '../../packages/server/src/witness/witness.ts';
import { WitnessStore } from '../../packages/server/src/witness/witness-store.ts';
import type { Disk } from '../../packages/server/src/world/disk.ts';
import { type HttpAnswer, HttpFailure, type HttpRequest } from '../../packages/server/src/world/http.ts';
import { SimClock, SimDisk, SimRandom } from '../../packages/server/src/world/simulated.ts';
import { EventMaker, LogModel, tenants, Violation } from './model.ts';

const [tenant] = tenants as [(typeof tenants)[number]];
const turnsMax = 20_000;

export interface WitnessFlaws {
  /** The ledger writes first and asks its witnesses then. */
  readonly asksLate?: boolean;
  /** A disk between a witness and its own. */
  readonly witnessDisk?: (disk: Disk) => Disk;
}

/** One witness: the real one, on a disk of its own. */
class Node {
  readonly host: string;
  readonly signer: ReturnType<typeof cosignerOf>;
  readonly isLiar: boolean;
  readonly #disk: SimDisk;
  /** Root in hex by origin and size: all that it ever answered for. */
  readonly cosigned: Map<string, Map<number, string>> = new Map();
  #witness!: Witness;
  #kill: () => void = () => undefined;

  constructor(number: number, isLiar: boolean, random: SimRandom) {
    this.host = `w${number}.example`;
    this.signer = cosignerOf(generateSigner(`witness.example/w${number}`, new Uint8Array(32).fill(60 + number)));
    this.isLiar = isLiar;
    this.#disk = new SimDisk(random);
  }

  async start(
    clock: SimClock,
    random: SimRandom,
    keysOf: (origin: string) => readonly Verifier[],
    flaws: WitnessFlaws,
  ): Promise<void> {
    const process = this.#disk.process();
    const world = { clock, random, disk: flaws.witnessDisk?.(process) ?? process };
    const store = await WitnessStore.open(world, '/witness', [this.signer]);
    const logs = { keysOf: async (origin: string) => keysOf(origin) };
    this.#witness = new Witness({ world, signers: [this.signer], logs, store });
    this.#kill = () => process.kill();
  }

  crash(powerLost: boolean): void {
    this.#kill();
    if (powerLost) this.#disk.losePower();
  }

  async answer({ method, url, body }: HttpRequest): Promise<HttpAnswer> {
    if (method === 'GET') {
      const note = this.#witness.latest(url.split('/').at(-2) ?? '');
      return { status: note === undefined ? 404 : 200, contentType: 'text/plain', body: Buffer.from(note ?? '') };
    }
    const sent = Buffer.from(body ?? '');
    const { status, type, body: answered } = await this.#witness.addCheckpoint(sent);
    if (status === 200) this.#note(parseCheckpoint(parseAddCheckpoint(sent).checkpoint));
    return { status, contentType: type, body: Buffer.from(answered) };
  }

  #note({ origin, size, root }: ReturnType<typeof parseCheckpoint>): void {
    const known = this.cosigned.get(origin) ?? new Map<number, string>();
    this.cosigned.set(origin, known);
    const hex = Buffer.from(root).toString('hex');
    const largest = Math.max(0, ...known.keys());
    if (Number(size) < largest) throw new Violation(`${this.host} cosigned ${size} leaves after ${largest}`);
    if ((known.get(Number(size)) ?? hex) !== hex)
      throw new Violation(`${this.host} cosigned two trees of ${size} leaves`);
    known.set(Number(size), hex);
  }
}

/** @returns what went wrong, if anything, and how many cosignatures were given */
export async function runWitnessHistory(
  seed: number,
  flaws: WitnessFlaws = {},
): Promise<{ readonly violation: string | undefined; readonly cosignatures: number }> {
  const history = new WitnessHistory(seed, flaws);
  let violation: string | undefined;
  try {
    await history.run();
  } catch (error) {
    violation = error instanceof Violation ? error.message : String(error instanceof Error ? error.stack : error);
  }
  const cosignatures = history.nodes.reduce(
    (sum, { cosigned }) => sum + [...cosigned.values()].reduce((own, { size }) => own + size, 0),
    0,
  );
  return { violation, cosignatures };
}

class WitnessHistory {
  readonly #random: SimRandom;
  readonly #clock: SimClock = new SimClock(Date.UTC(2026, 2, 10));
  readonly #flaws: WitnessFlaws;
  readonly nodes: readonly Node[];
  readonly #keys: Map<string, Verifier> = new Map();
  readonly #policy: string;
  #disk: SimDisk;
  #model: LogModel = new LogModel(tenant);
  #isCalm = false;
  #violation: unknown;

  constructor(seed: number, flaws: WitnessFlaws) {
    this.#random = new SimRandom(seed);
    this.#flaws = flaws;
    this.#disk = new SimDisk(this.#random.fork());
    const liar = this.#random.chance(50) ? 2 : -1;
    this.nodes = [0, 1, 2].map((at) => new Node(at + 1, at === liar, this.#random.fork()));
    this.#policy = [
      ...this.nodes.map(({ signer, host }, at) => `witness w${at + 1} ${formatVerifierKey(signer)} https://${host}/`),
      'group all 2 w1 w2 w3',
      'quorum all',
    ].join('\n');
  }

  async run(): Promise<void> {
    for (const node of this.nodes) await this.#startNode(node);
    await this.#life(async (ledger) => this.#steps(ledger));
    const older = this.#copy();
    const isForked = this.#random.chance(50);
    await this.#life(async (ledger) => this.#steps(ledger));
    const memory = this.#copy('/data/witnesses/');
    await this.#putBack(older, this.#random.chance(40) ? memory : undefined);
    await this.#goesReadOnly(isForked);
    await succeed({ dataDir: '/data', world: this.#world() });
    this.#model = new LogModel(tenant);
    this.#isCalm = true;
    await this.#life(async (ledger) => {
      const [first] = await ledger.read(tenant, 0, 1);
      if (decode(first?.m ?? new Uint8Array(0)).event.operation !== 'log-succeeds')
        throw new Violation('the successor does not begin with what it succeeds');
      await this.#append(ledger);
      for (let minute = 0; minute < 6 && ledger.cosigned(tenant) === undefined; minute++) await this.#passes(60_000);
      if (ledger.cosigned(tenant) === undefined)
        throw new Violation(`the successor is not cosigned: ${JSON.stringify(ledger.state)}`);
    });
  }

  #world(): { clock: SimClock; random: SimRandom; disk: Disk } {
    return { clock: this.#clock, random: this.#random.fork(), disk: this.#disk.process() };
  }

  async #startNode(node: Node): Promise<void> {
    const keysOf = (origin: string): readonly Verifier[] => [this.#keys.get(origin)].filter((key) => key !== undefined);
    await node.start(this.#clock, this.#random.fork(), keysOf, this.#flaws);
  }

  /** A process with the ledger in it: the witnesses are asked before anything is written. */
  async #life(during: (ledger: Ledger) => Promise<void>): Promise<void> {
    const world = this.#world();
    const ledger = await openLedger({
      dir: '/data/ledger',
      keysDir: '/data/keys',
      originBase: 'watchglass.example',
      world,
      heartbeatMs: 0,
    });
    await ledger.addTenant(tenant);
    const vkey = ledger.vkey(tenant);
    this.#keys.set(vkey.slice(0, vkey.indexOf('+')), parseVerifierKey(vkey));
    const policies = new Map([[tenant, { policy: parsePolicy(this.#policy), text: this.#policy }]]);
    const http = { ask: (request: HttpRequest): Promise<HttpAnswer> => this.#ask(request, ledger) };
    const witnessing = new Witnessing({
      ledger,
      policies,
      dir: '/data/witnesses',
      world,
      http,
      report: () => undefined,
    });
    if (this.#flaws.asksLate === true) await this.#append(ledger);
    await this.#until(witnessing.start());
    await during(ledger);
    await this.#until(witnessing[Symbol.asyncDispose]());
    await this.#until(ledger[Symbol.asyncDispose]());
    this.#clock.dropTimers();
    if (this.#violation !== undefined) throw this.#violation;
  }

  async #steps(ledger: Ledger): Promise<void> {
    for (let left = this.#random.between(3, 8); left > 0; left--) {
      switch (this.#random.below(4)) {
        case 0:
          await this.#passes(this.#random.between(1, 40) * 1000);
          break;
        case 1: {
          const node = this.#random.pick(this.nodes);
          node.crash(this.#random.chance(60));
          await this.#startNode(node);
          break;
        }
        default:
          await this.#append(ledger);
          await this.#passes(12_000);
      }
      if (ledger.state.kind !== 'writable') throw new Violation(`read-only without a cause: ${ledger.state.reason}`);
    }
  }

  async #append(ledger: Ledger): Promise<void> {
    const maker = new EventMaker(this.#random.fork());
    const items = Array.from({ length: this.#random.between(1, 3) }, () => maker.make(this.#model, this.#clock.now()));
    await ledger.append(tenant, items).then(
      (answer) => this.#model.sawSignature(answer.checkpoint),
      (error: unknown) => {
        if (ledger.state.kind === 'writable') throw error;
      },
    );
  }

  /** The older copy has begun: it may sign nothing that some honest witness knows to be older than the log. */
  async #goesReadOnly(isForked: boolean): Promise<void> {
    // What nobody reachable knows can't be known; so here they can be reached.
    this.#isCalm = true;
    const honest = this.nodes.filter(({ isLiar }) => !isLiar);
    const restored = this.#sizeOf('/data/ledger/clinic/checkpoint');
    await this.#life(async (ledger) => {
      const { size } = ledger.head(tenant);
      const known = Math.max(
        0,
        ...honest.map(({ cosigned }) => Math.max(0, ...(cosigned.get('watchglass.example/clinic')?.keys() ?? []))),
      );
      if (known > size && ledger.state.kind === 'writable')
        throw new Violation(`an older copy of ${size} leaves is writable, and ${known} were cosigned`);
      if (known > restored && size > restored)
        throw new Violation(
          `an older copy of ${restored} leaves was written on up to ${size}, and ${known} were cosigned`,
        );
      if (!isForked || ledger.state.kind !== 'writable') return;
      // Nobody had cosigned what was lost: nobody can know, and another history begins.
      this.#model = new LogModel(tenant);
      await this.#append(ledger);
    });
  }

  /** One question over the network. */
  async #ask(request: HttpRequest, ledger: Ledger): Promise<HttpAnswer> {
    const node = this.nodes.find(({ host }) => new URL(request.url).host === host) as Node;
    const random = this.#random;
    const fate = this.#isCalm
      ? 'arrives'
      : random.weighted({ arrives: 60, late: 10, lost: 8, unanswered: 8, twice: 8, hangs: 6 });
    if (node.isLiar && random.chance(60)) return lie(random, request);
    if (fate === 'lost') throw new HttpFailure('unreachable', 'the network lost it');
    if (fate === 'hangs') {
      await this.#clock.sleep(request.deadlineMs, request.signal);
      throw new HttpFailure('deadline', 'no answer within the deadline');
    }
    if (fate === 'late') await this.#clock.sleep(random.between(1, 3_000), request.signal);
    try {
      const answer = await node.answer(request);
      // It overtakes itself: the same question once more, when the answer is out already.
      if (fate === 'twice') await node.answer(request);
      if (fate === 'unanswered') throw new HttpFailure('unreachable', 'the answer got lost');
      await this.#oneTree(node, ledger);
      return answer;
    } catch (error) {
      if (error instanceof Violation) this.#violation ??= error;
      throw error;
    }
  }

  /** What this witness ever cosigned of the log is on the one tree that the log has. */
  async #oneTree(node: Node, ledger: Ledger): Promise<void> {
    const origin = ledger.vkey(tenant).split('+')[0] ?? '';
    const { size: now } = ledger.head(tenant);
    const all = [...(node.cosigned.get(origin) ?? [])];
    const largest = Math.max(0, ...all.map(([size]) => size));
    // Of an older copy nothing can be said: it is read-only for that.
    if (largest > now) return;
    for (const [size, root] of all)
      if (Buffer.from(await ledger.rootAt(tenant, size)).toString('hex') !== root)
        this.#violation ??= new Violation(`${node.host} cosigned ${size} leaves of another tree, and goes on`);
  }

  #sizeOf(checkpoint: string): number {
    const bytes = this.#disk.names.file(checkpoint)?.bytes();
    return bytes === undefined ? 0 : Number(parseCheckpoint(bytes.toString('utf8')).size);
  }

  #copy(below = '/data/'): ReadonlyMap<string, Buffer> {
    return new Map(
      [...this.#disk.names.files()]
        .filter(([path]) => path.startsWith(below) && !path.endsWith('/lock'))
        .map(([path, content]) => [path, content.bytes()]),
    );
  }

  async #putBack(older: ReadonlyMap<string, Buffer>, memory: ReadonlyMap<string, Buffer> = new Map()): Promise<void> {
    this.#disk = new SimDisk(this.#random.fork());
    const disk = this.#disk.process();
    for (const [path, bytes] of [...older, ...memory]) {
      await disk.makeDirectory(dirname(path));
      await disk.replace(path, bytes);
    }
  }

  async #passes(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      this.#clock.advance(Math.min(left, 1000));
      await turns(12);
    }
  }

  /** Time goes on until it is done. */
  async #until(work: PromiseLike<unknown>): Promise<void> {
    let isDone = false;
    const done = Promise.resolve(work).finally(() => {
      isDone = true;
    });
    done.catch(() => undefined);
    for (let turn = 0; !isDone; turn++) {
      if (turn > turnsMax) throw new Violation('a start or an end that does not end');
      await turns(1);
      if (turn % 40 === 39) this.#clock.advance(250);
    }
    await done;
  }
}

function lie(random: SimRandom, { method }: HttpRequest): HttpAnswer {
  const say = (status: number, body: string, contentType = 'text/plain'): HttpAnswer => ({
    status,
    contentType,
    body: Buffer.from(body),
  });
  // That it is ahead is believed of a witness at the first contact, so it lies of less.
  if (method === 'GET' || random.chance(30)) return say(503, 'no');
  return random.chance(50)
    ? say(409, '0\n', 'text/x.tlog.size')
    : say(200, `\u2014 witness.example/w3 ${Buffer.from(random.bytes(76)).toString('base64')}\n`);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
