/**
 * Learns from an answer of an API that is no FHIR while it passes, by the places of its map: from each item of a list that is the answer itself or one of its members, and from each other member.
 * What lies deeper in one piece than the bound, and a place where nobody stands, make the list of patients `truncated`.
 */
import { parseOneReading } from '../http/one-reading.ts';
import type { Learned } from './exposure.ts';
import { Found, patientsOf } from './json-exposure.ts';
import type { MappedInteraction } from './json-map.ts';
import { type JsonPath, readPath, type Step } from './json-path.ts';
import { PassingPieces, type Piece } from './passing-pieces.ts';

export class MappedReader {
  readonly #interaction: MappedInteraction;
  readonly #paths: readonly JsonPath[];
  readonly #found = new Found();
  readonly #pieces: PassingPieces;
  /** Places in one item of a list that was there. */
  readonly #met = new Set<JsonPath>();
  #count = 0;

  /** `beginning` is what was learnt from before. */
  constructor(
    beginning: Uint8Array,
    options: { readonly interaction: MappedInteraction; readonly pieceBytesMax: number },
  ) {
    const { interaction, pieceBytesMax } = options;
    this.#interaction = interaction;
    this.#paths = interaction.map.patients.flatMap((source) => (source.in === 'response' ? [source.path] : []));
    this.#pieces = new PassingPieces(beginning, {
      pieceBytesMax,
      lists: true,
      take: (piece, known) => this.#take(piece, known),
    });
  }

  push(chunk: Uint8Array): undefined {
    this.#pieces.push(chunk);
  }

  async finish(complete: boolean): Promise<Learned> {
    const { map } = this.#interaction;
    const { patients, overflow } = this.#found;
    const unread = !this.#pieces.isWhole(complete);
    // A place that begins at a member or an item which never came.
    const absent = this.#paths.some(
      (path) => !this.#pieces.names.has(memberOf(path.steps[0])) || (isAtOne(path) && !this.#met.has(path)),
    );
    const nameless = this.#found.nameless || absent;
    return {
      exposure: {
        ...(patients.size === 0 ? {} : { patients: patientsOf(patients, map.classes) }),
        count: this.#count,
        ...(unread || overflow || nameless ? { truncated: true } : {}),
      },
      targets: [],
      types: new Set([map.type]),
      classes: new Map([[map.type, new Set(map.classes)]]),
      unattributed: nameless,
      unread,
    };
  }

  #take(piece: Piece, known: boolean): boolean {
    const { map } = this.#interaction;
    const fitting = this.#paths.filter(({ steps: [first] }) => memberOf(first) === piece.name);
    for (const path of fitting) if (restOf(path, piece) !== 'elsewhere') this.#met.add(path);
    if (known) return true;
    const counted = map.count !== undefined && memberOf(map.count.steps[0]) === piece.name ? map.count : undefined;
    if (fitting.length === 0 && counted === undefined) return true;
    const value = parseOneReading(Buffer.from(piece.text()));
    if (value === undefined) return false;
    for (const path of fitting) {
      const rest = restOf(path, piece);
      if (rest === 'elsewhere') continue;
      this.#found.addAll(rest === undefined ? { values: [], missingCount: 1 } : readPath(rest, value));
    }
    const rest = counted === undefined ? undefined : restOf(counted, piece);
    if (rest !== undefined && rest !== 'elsewhere') this.#count += readPath(rest, value).values.length;
    return true;
  }
}

/** The member of the answer that a place lies in; '' where the answer is a list. */
function memberOf(step: Step | undefined): string {
  return step?.kind === 'member' ? step.name : '';
}

/** It lies in one item of a list, which has to be there. */
function isAtOne({ steps: [first, second] }: JsonPath): boolean {
  return (first?.kind === 'member' ? second : first)?.kind === 'index';
}

/** The place inside of a piece; `elsewhere` for another item than the one that is meant, undefined where the piece is of another shape. */
function restOf({ text, steps }: JsonPath, { index }: Piece): JsonPath | 'elsewhere' | undefined {
  const below = steps[0]?.kind === 'member' ? steps.slice(1) : steps;
  const [first, ...rest] = below;
  if (index === undefined) return { text, steps: below };
  if (first?.kind === 'each') return { text, steps: rest };
  if (first?.kind !== 'index') return undefined;
  return first.at === index ? { text, steps: rest } : 'elsewhere';
}
