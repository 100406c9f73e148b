/**
 * Raw connections by seed against a gateway and its upstream, for so many seconds. What fails is found among its neighbours, cut down to the pieces it needs, and
 * handed back with its seed.
 */
import { connectionOf, type Pieces } from './generate.ts';
import { openStand, parsers, type Stand } from './stand.ts';

const sideBySide = 40;

export interface RawFailure {
  readonly parser: string;
  readonly seed: number;
  readonly what: string;
  /** The least that still fails. */
  readonly pieces: Pieces;
}

export interface RawRun {
  readonly connections: number;
  /** Requests that went through to the upstream: the rest was refused. */
  readonly passed: number;
  readonly failures: readonly RawFailure[];
  readonly nextSeed: number;
}

export async function runRaw(options: {
  readonly seconds: number;
  readonly seed: number;
  readonly failuresMax?: number;
}): Promise<RawRun> {
  const endMs = performance.now() + options.seconds * 1_000;
  const failures: RawFailure[] = [];
  let [connections, passed, seed] = [0, 0, options.seed];
  await using stack = new AsyncDisposableStack();
  const stands: (readonly [string, Stand])[] = [];
  for (const parser of parsers) stands.push([parser, stack.use(await openStand(parser))]);
  do {
    for (const [parser, stand] of stands) {
      const seeds = Array.from({ length: sideBySide }, (_, n) => seed + n);
      const before = stand.seenCount();
      const found = await stand.judge(seeds.map((one) => connectionOf(one, stand.token)));
      connections += seeds.length;
      passed += stand.seenCount() - before;
      if (found !== undefined) failures.push(await single(parser, stand, seeds, found));
    }
    seed += sideBySide;
  } while (performance.now() < endMs && failures.length < (options.failuresMax ?? 3));
  return { connections, passed, failures, nextSeed: seed };
}

/** One connection, against each of the parsers: what they disagree about. */
export async function replayRaw(connection: (token: string) => Pieces): Promise<readonly string[]> {
  const said: string[] = [];
  for (const parser of parsers) {
    await using stand = await openStand(parser);
    const found = await stand.judge([connection(stand.token)]);
    if (found !== undefined) said.push(`${parser}: ${found}`);
  }
  return said;
}

async function single(parser: string, stand: Stand, seeds: readonly number[], what: string): Promise<RawFailure> {
  for (const seed of seeds) {
    const pieces = connectionOf(seed, stand.token);
    const found = await stand.judge([pieces]);
    if (found === undefined) continue;
    const least = await shrink(pieces, async (fewer) => (await stand.judge([fewer])) !== undefined);
    return {
      parser,
      seed,
      what: found,
      pieces: least.map((piece) => piece.replaceAll(stand.token, '{token}')),
    };
  }
  // Alone none of them fails: what they do to each other is the finding.
  return { parser, seed: seeds[0] ?? 0, what: `${what} (only beside the ${seeds.length - 1} that follow)`, pieces: [] };
}

async function shrink(pieces: Pieces, fails: (pieces: Pieces) => Promise<boolean>): Promise<Pieces> {
  let least = pieces;
  for (let at = least.length - 1; at >= 0; at--) {
    const fewer = least.filter((_, position) => position !== at);
    if (fewer.length > 0 && (await fails(fewer))) least = fewer;
  }
  return least;
}
