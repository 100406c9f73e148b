/**
 * Names for identifiers that may not stand in an index.
 *
 * A *pseudonym* is what people see: `·` and twelve letters, HMAC-SHA-256 under the tenant's pseudonym key, so the same patient has the same
 * pseudonym all over a tenant and for as long as its key. A *token* is what an index file holds: 12 bytes of HMAC-SHA-256 of the pseudonym
 * under the key of that file. Tokens are made of pseudonyms, not of plain identifiers, so that a pseudonym on the screen can be searched for
 * without anybody revealing whom it stands for; without the file's key a token says nothing, and that key can be destroyed with its class and epoch.
 */
import { createHmac } from 'node:crypto';
import { KeyedHash } from './keyed-hash.ts';

export const pseudonymMark = '·';
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'; // base32, RFC 4648 §6
const pseudonymLetters = 12;
const tokenBytes = 12;
const pseudonymForm: RegExp = new RegExp(`^${pseudonymMark}[A-Z2-7]{${pseudonymLetters}}$`, 'u');
/** Patients kept in memory by each instance; past it the memory starts afresh. Other resources are rarely seen twice. */
const patientsCachedMax = 20_000;

/** Whether the text is a pseudonym as search results show it. */
export function isPseudonym(text: string): boolean {
  return pseudonymForm.test(text);
}

/** The pseudonyms of one tenant. A pseudonym is its own pseudonym. */
export class Pseudonyms {
  readonly #hash: KeyedHash;
  readonly #patients: Map<string, string> = new Map();

  constructor(key: Uint8Array) {
    this.#hash = new KeyedHash(key);
  }

  /** Of a bare patient id. */
  patient(id: string): string {
    let pseudonym = this.#patients.get(id);
    if (pseudonym === undefined) {
      pseudonym = this.#of('patient', id);
      if (this.#patients.size >= patientsCachedMax) this.#patients.clear();
      this.#patients.set(id, pseudonym);
    }
    return pseudonym;
  }

  /** Of a resource; a `Patient` has the pseudonym of the patient. */
  resource(type: string, id: string): string {
    return type === 'Patient' ? this.patient(id) : this.#of(`resource\0${type}`, id);
  }

  #of(what: string, id: string): string {
    if (isPseudonym(id)) return id;
    return pseudonymMark + base32(this.#hash.of(`${what}\0${id}`), pseudonymLetters);
  }
}

/** The tokens of one index file. */
export class Tokens {
  readonly pseudonyms: Pseudonyms;
  readonly #hash: KeyedHash;
  readonly #patients: Map<string, Uint8Array> = new Map();

  constructor(key: Uint8Array, pseudonyms: Pseudonyms) {
    this.#hash = new KeyedHash(key);
    this.pseudonyms = pseudonyms;
  }

  /** Stands for everything about a patient. */
  patient(id: string): Uint8Array {
    let token = this.#patients.get(id);
    if (token === undefined) {
      token = this.#of(`patient\0${this.pseudonyms.patient(id)}`);
      if (this.#patients.size >= patientsCachedMax) this.#patients.clear();
      this.#patients.set(id, token);
    }
    return token;
  }

  /** Stands for one resource as a target. */
  resource(type: string, id: string): Uint8Array {
    return this.#of(`resource\0${type}\0${this.pseudonyms.resource(type, id)}`);
  }

  #of(name: string): Uint8Array {
    const digest = this.#hash.of(name);
    const token = new Uint8Array(tokenBytes);
    for (let at = 0; at < tokenBytes; at++) token[at] = digest.charCodeAt(at);
    return token;
  }
}

/** Says which keys a file was written under, without saying anything of them. */
export function keysFingerprint(tokenKey: Uint8Array, pseudonymKey: Uint8Array): string {
  return createHmac('sha256', tokenKey).update('watchglass/v1/index').update(pseudonymKey).digest('hex').slice(0, 16);
}

/** The first letters of a digest, five bits each. */
function base32(digest: string, letters: number): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (let at = 0; text.length < letters; at++) {
    held = (held << 8) | digest.charCodeAt(at);
    bits += 8;
    while (bits >= 5 && text.length < letters) {
      text += alphabet[(held >>> (bits - 5)) & 31];
      bits -= 5;
    }
    held &= (1 << bits) - 1;
  }
  return text;
}
