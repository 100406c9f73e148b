/**
 * Trust policies (c2sp.org/tlog-policy): which logs to believe, and how many of which witnesses must have cosigned a checkpoint.
 *
 * `parsePolicy` takes a policy as a whole or refuses it with the line; `openWitnessed` verifies a signed checkpoint against one. A
 * policy says nothing of what a log's entries mean, and nothing is fetched: its URLs are for whoever submits.
 */
import { encodeUtf8, tryDecodeUtf8 } from './bytes.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { RecordError } from './errors.ts';
import { openNote, type VerifiedSignature } from './note.ts';
import { parseVerifierKey, type Verifier } from './note-key.ts';

export interface PolicyLog {
  /** Its name is the log's origin. */
  readonly verifier: Verifier;
  readonly url?: string;
}

export interface PolicyWitness {
  /** As the policy calls it; it means nothing outside of it. */
  readonly name: string;
  readonly verifier: Verifier;
  /** Usually the submission prefix of c2sp.org/tlog-witness. */
  readonly url?: string;
}

/** What must have cosigned. A tree: the specification lets every name be a member once only. */
export type Quorum =
  | { readonly kind: 'none' }
  | { readonly kind: 'witness'; readonly witness: PolicyWitness }
  | { readonly kind: 'group'; readonly name: string; readonly min: number; readonly members: readonly Quorum[] };

export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  readonly quorum: Quorum;
}

/** The specification asks for at least 32 of each. */
export const policyEntriesMax = 256;
const policyBytesMax = 524_288;

// c2sp.org/tlog-checkpoint and tlog-cosignature: what may sign a log, and what may cosign.
const logTypes: ReadonlySet<number> = new Set([1, 6]);
const witnessTypes: ReadonlySet<number> = new Set([4, 6]);

/**
 * Parses a policy.
 *
 * @throws {RecordError} `policy-malformed`, naming the line
 * @example
 * const policy = parsePolicy(`witness one ${vkey}\nquorum one\n`);
 */
export function parsePolicy(source: string | Uint8Array): Policy {
  const bytes = typeof source === 'string' ? encodeUtf8(source) : source;
  if (bytes.length > policyBytesMax) throw malformed(`expected at most ${policyBytesMax} bytes, got ${bytes.length}`);
  const building = new PolicyBuilder();
  const lines = toOctets(bytes).split('\n');
  for (const [at, line] of lines.entries()) {
    try {
      building.add(line);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      throw malformed(`line ${at + 1}: ${error.message}`, error);
    }
  }
  return building.finish();
}

/** Whether these witnesses, by the policy's own objects, are enough. */
export function isQuorum(quorum: Quorum, witnessed: ReadonlySet<PolicyWitness>): boolean {
  switch (quorum.kind) {
    case 'none':
      return true;
    case 'witness':
      return witnessed.has(quorum.witness);
    case 'group': {
      let count = 0;
      for (const member of quorum.members) if (isQuorum(member, witnessed)) count++;
      return count >= quorum.min;
    }
    default:
      return quorum satisfies never;
  }
}

export interface Cosigned {
  readonly witness: PolicyWitness;
  /** When the witness signed, seconds since 1970. */
  readonly timeSeconds: bigint;
}

export interface WitnessedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Of the logs' keys that were given. */
  readonly signatures: readonly VerifiedSignature[];
  /** By witnesses of the policy, each once, in the order of the policy. */
  readonly cosigned: readonly Cosigned[];
  /** Whether they are enough. */
  readonly quorum: boolean;
  /** Since when, or later, a quorum vouches for it: the newest time with a quorum not before it. Undefined without quorum or with `quorum none`. */
  readonly quorumTimeSeconds?: bigint;
}

/**
 * Verifies a signed checkpoint: by a log of the policy (or one of `logs`, where they are known from elsewhere), and counts its witnesses.
 * A cosignature that doesn't verify spoils the note, as c2sp.org/signed-note has it; too few of them are for the caller to judge, by `quorum`.
 *
 * @throws {RecordError} `note-malformed`, `signature-invalid`, `note-unverified`, `checkpoint-malformed`, `origin-mismatch`
 */
export function openWitnessed(
  note: string,
  policy: Policy,
  logs?: readonly (string | Verifier)[],
): WitnessedCheckpoint {
  const trusted = (logs ?? policy.logs.map(({ verifier }) => verifier)).map((key) =>
    typeof key === 'string' ? parseVerifierKey(key) : key,
  );
  const opened = openNote(note, [...trusted, ...policy.witnesses.map(({ verifier }) => verifier)]);
  const signatures = opened.signatures.filter((signature) => trusted.some((key) => isBy(signature, key)));
  if (signatures.length === 0)
    throw new RecordError('note-unverified', 'expected a log of the policy to have signed the checkpoint; none did');
  const checkpoint = parseCheckpoint(opened.text);
  if (signatures.some(({ name }) => name !== checkpoint.origin))
    throw new RecordError(
      'origin-mismatch',
      `expected a checkpoint of ${signatures[0]?.name}, got one of another log; give that log's verifier key`,
    );
  const cosigned = policy.witnesses.flatMap((witness): Cosigned[] => {
    const timeSeconds = opened.signatures.find((signature) => isBy(signature, witness.verifier))?.timeSeconds;
    // A time of zero makes no statement on the largest tree seen (c2sp.org/tlog-cosignature).
    return timeSeconds === undefined || timeSeconds === 0n ? [] : [{ witness, timeSeconds }];
  });
  const quorum = isQuorum(policy.quorum, new Set(cosigned.map(({ witness }) => witness)));
  const quorumTimeSeconds = quorum ? quorumTimeOf(policy.quorum, cosigned) : undefined;
  return {
    checkpoint,
    signatures,
    cosigned,
    quorum,
    ...(quorumTimeSeconds === undefined ? {} : { quorumTimeSeconds }),
  };
}

function quorumTimeOf(quorum: Quorum, cosigned: readonly Cosigned[]): bigint | undefined {
  const witnessed = new Set<PolicyWitness>();
  for (const { witness, timeSeconds } of cosigned.toSorted((a, b) => (a.timeSeconds > b.timeSeconds ? -1 : 1))) {
    witnessed.add(witness);
    if (isQuorum(quorum, witnessed)) return quorum.kind === 'none' ? undefined : timeSeconds;
  }
  return undefined;
}

function isBy(signature: VerifiedSignature, key: Verifier): boolean {
  return signature.name === key.name && signature.keyId === key.keyId;
}

class PolicyBuilder {
  readonly #logs: PolicyLog[] = [];
  readonly #witnesses: PolicyWitness[] = [];
  #groups = 0;
  /** By octets: a name is opaque. */
  readonly #named: Map<string, Quorum> = new Map();
  readonly #members: Set<string> = new Set();
  readonly #keys: Set<string> = new Set();
  #quorum: Quorum | undefined;

  add(line: string): void {
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      if ((code < 0x20 && code !== 0x09) || code === 0x7f)
        throw malformed('expected no control characters but tab and newline');
    }
    const items = line.split(/[ \t]+/).filter((item) => item !== '');
    const [keyword, ...rest] = items;
    if (keyword === undefined || keyword.startsWith('#')) return;
    switch (keyword) {
      case 'log':
        this.#addLog(rest);
        break;
      case 'witness':
        this.#addWitness(rest);
        break;
      case 'group':
        this.#addGroup(rest);
        break;
      case 'quorum':
        this.#setQuorum(rest);
        break;
      default:
        throw malformed('expected a line that begins with log, witness, group or quorum');
    }
  }

  finish(): Policy {
    if (this.#quorum === undefined) throw malformed('expected a quorum line; `quorum none` asks for no witness');
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum };
  }

  #addLog([vkey, url, ...more]: readonly string[]): void {
    if (vkey === undefined || more.length > 0) throw malformed('expected log <vkey> [<url>]');
    assertRoom(this.#logs.length, 'logs');
    const verifier = this.#key(vkey, logTypes, 'a log', 'log ');
    this.#logs.push({ verifier, ...(url === undefined ? {} : { url: toText(url) }) });
  }

  #addWitness([name, vkey, url, ...more]: readonly string[]): void {
    if (name === undefined || vkey === undefined || more.length > 0)
      throw malformed('expected witness <name> <vkey> [<url>]');
    assertRoom(this.#witnesses.length, 'witnesses');
    const verifier = this.#key(vkey, witnessTypes, 'a witness', 'witness ');
    const witness = { name: toText(name), verifier, ...(url === undefined ? {} : { url: toText(url) }) };
    this.#define(name, { kind: 'witness', witness });
    this.#witnesses.push(witness);
  }

  #addGroup([name, threshold, ...names]: readonly string[]): void {
    if (name === undefined || threshold === undefined || names.length === 0)
      throw malformed('expected group <name> <k|any|all> <name>…');
    assertRoom(this.#groups, 'groups');
    const members = names.map((member): Quorum => {
      const rule = this.#named.get(member);
      if (rule === undefined) throw malformed('expected members that earlier lines define as witness or group');
      if (this.#members.has(member)) throw malformed('a name is a member of a group already: each may be one once');
      this.#members.add(member);
      return rule;
    });
    const min = threshold === 'any' ? 1 : threshold === 'all' ? members.length : numberOf(threshold);
    if (min < 1 || min > members.length)
      throw malformed(`expected any, all, or a number from 1 to ${members.length} of members`);
    this.#define(name, { kind: 'group', name: toText(name), min, members });
    this.#groups++;
  }

  #setQuorum([name, ...more]: readonly string[]): void {
    if (name === undefined || more.length > 0) throw malformed('expected quorum <name>');
    if (this.#quorum !== undefined) throw malformed('expected one quorum line, got another');
    const rule: Quorum | undefined = name === 'none' ? { kind: 'none' } : this.#named.get(name);
    if (rule === undefined) throw malformed('expected none, or a witness or group that earlier lines define');
    this.#quorum = rule;
  }

  #define(name: string, rule: Quorum): void {
    if (name === 'none') throw malformed('the name none is taken: it means no witness at all');
    if (this.#named.has(name)) throw malformed('a witness or group of this name is defined already');
    this.#named.set(name, rule);
  }

  /** Two keys of one kind that wrap the same public key are duplicates, whatever their names. */
  #key(item: string, types: ReadonlySet<number>, what: string, kind: string): Verifier {
    const verifier = parseVerifierKey(toText(item));
    if (!types.has(verifier.type))
      throw malformed(`expected a verifier key of the type that ${what} has, got type ${verifier.type}`);
    const key = `${kind}${verifier.publicKey.join(' ')}`;
    if (this.#keys.has(key)) throw malformed(`the public key of ${what} stands there already`);
    this.#keys.add(key);
    return verifier;
  }
}

function numberOf(text: string): number {
  return /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
}

function assertRoom(count: number, what: string): void {
  if (count >= policyEntriesMax) throw malformed(`expected at most ${policyEntriesMax} ${what}`);
}

/** A character an octet, so that names that aren't UTF-8 stay apart. */
function toOctets(bytes: Uint8Array): string {
  let octets = '';
  for (let at = 0; at < bytes.length; at += 4096) octets += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return octets;
}

function toText(octets: string): string {
  const bytes = Uint8Array.from(octets, (octet) => octet.charCodeAt(0));
  return tryDecodeUtf8(bytes) ?? octets;
}

function malformed(message: string, cause?: unknown): RecordError {
  const text = message.includes('c2sp.org') ? message : `${message} (c2sp.org/tlog-policy)`;
  return new RecordError('policy-malformed', text, cause === undefined ? {} : { cause });
}
