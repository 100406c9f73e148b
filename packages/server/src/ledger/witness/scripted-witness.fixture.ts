/** Witnesses in memory, as good or bad as a test wants them, and a ledger that asks them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  cosignerOf,
  formatVerifierKey,
  generateSigner,
  parseCheckpoint,
  parsePolicy,
  type Signer,
  signNote,
  splitNote,
} from '@watchglass/record';
import { type Http, type HttpAnswer, HttpFailure, type HttpRequest } from '../../world/http.ts';
import { realDisk } from '../../world/real-disk.ts';
import { realRandom } from '../../world/real-world.ts';
import { clinic, items, type TestPlace, testPlace } from '../ledger.fixture.ts';
import type { Ledger } from '../ledger.ts';
import { Witnessing } from './witnessing.ts';

export const origin: string = 'watchglass.example/clinic';
const hash: string = createHash('sha256').update(origin).digest('hex');
export const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
export const text = (status: number, body: string, contentType = 'text/plain'): HttpAnswer => ({
  status,
  contentType,
  body: Buffer.from(body),
});

/** What a witness does instead of answering well; undefined leaves it to the honest one. */
export type Mood = (request: HttpRequest, honest: () => HttpAnswer) => Promise<HttpAnswer> | HttpAnswer;

/** A witness in memory: honest as far as sizes go, and in whatever mood the test says. It doesn't check proofs: ours does, in room `witness`. */
export class ScriptedWitness {
  readonly signer: Signer;
  readonly host: string;
  readonly asked: number[] = [];
  mood: Mood | undefined;
  note: string | undefined;

  constructor(n: number) {
    this.signer = cosignerOf(generateSigner(`witness.example/w${n}`, seed(50 + n)));
    this.host = `w${n}.example`;
  }

  get size(): number {
    return this.note === undefined ? 0 : Number(parseCheckpoint(this.note).size);
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const honest = (): HttpAnswer => this.#honest(request);
    return this.mood === undefined ? honest() : await this.mood(request, honest);
  }

  #honest({ method, url, body }: HttpRequest): HttpAnswer {
    if (method === 'GET') {
      assert.ok(url.endsWith(`/${hash}/checkpoint`));
      return this.note === undefined ? text(404, '') : text(200, this.note);
    }
    assert.ok(url.endsWith('/add-checkpoint'));
    const sent = String(body);
    const old = Number(sent.slice(4, sent.indexOf('\n')));
    this.asked.push(old);
    if (old !== this.size) return text(409, `${this.size}\n`, 'text/x.tlog.size');
    const note = sent.slice(sent.indexOf('\n\n') + 2);
    return text(200, this.cosign(note));
  }

  cosign(note: string, timeSeconds = 1_767_225_600n): string {
    const body = splitNote(note).text;
    const lines = signNote(body, [this.signer], { timeSeconds }).slice(body.length + 1);
    this.note = note + lines;
    return lines;
  }
}

export interface Game {
  readonly place: TestPlace;
  readonly witnesses: readonly ScriptedWitness[];
  readonly http: Http;
  readonly policy: string;
  readonly reports: string[];
  witnessing(ledger: Ledger): Witnessing;
}

export function game(
  place: TestPlace,
  witnesses: readonly ScriptedWitness[] = [1, 2, 3].map((n) => new ScriptedWitness(n)),
): Game {
  const policy = [
    ...witnesses.map(({ signer, host }, at) => `witness w${at + 1} ${formatVerifierKey(signer)} https://${host}/`),
    `group all 2 ${witnesses.map((_, at) => `w${at + 1}`).join(' ')}`,
    'quorum all',
  ].join('\n');
  const http: Http = {
    ask: (request) => {
      const found = witnesses.find(({ host }) => new URL(request.url).host === host);
      assert.ok(found !== undefined, request.url);
      return found.answer(request);
    },
  };
  const reports: string[] = [];
  return {
    place,
    witnesses,
    http,
    policy,
    reports,
    witnessing: (ledger) =>
      new Witnessing({
        ledger,
        policies: new Map([[clinic, { policy: parsePolicy(policy), text: policy }]]),
        dir: join(place.dir, 'witnesses'),
        world: { clock: place.clock, random: realRandom, disk: realDisk },
        http,
        report: ({ message }) => reports.push(message),
      }),
  };
}

export async function lastingPlace(): Promise<TestPlace & AsyncDisposable> {
  return await testPlace();
}

export async function opened(place: TestPlace, events: number): Promise<Ledger> {
  const ledger = await place.open();
  await ledger.addTenant(clinic);
  if (events > 0) await ledger.append(clinic, items(place, events));
  return ledger;
}

export const unreachable: Mood = () => {
  throw new HttpFailure('unreachable', 'ECONNREFUSED');
};
