/**
 * A PKCS#11 module (OASIS PKCS #11 v2.40) as far as key-encryption keys need it: one session on one token, AES-256 keys that never leave it, and
 * AES-GCM. Its calls block: only the child process of pkcs11.ts loads it. Unix only: on Windows the module's structures are laid out otherwise.
 */

/** What we use of koffi, an optional peer that is loaded only here. */
interface Koffi {
  load(path: string): { func(prototype: string): (...parameters: unknown[]) => number };
  proto(definition: string): unknown;
  address(bytes: Uint8Array): bigint;
  struct(name: string, members: Record<string, string>): unknown;
  decode(pointer: unknown, offset: number, type: string): unknown;
  call(pointer: unknown, prototype: unknown, ...parameters: unknown[]): number | bigint;
}

/** An error of the module: what was tried, and its return value (PKCS #11 §5.1). */
export class CryptokiError extends Error {
  override readonly name = 'CryptokiError';
  readonly returned: number;

  constructor(what: string, returned: number) {
    super(`${what} returned 0x${returned.toString(16)}`);
    this.returned = returned;
  }
}

/** Position in CK_FUNCTION_LIST, and what the function takes. */
const functions = {
  C_Initialize: [0, 'CkInitializeArgs *args'],
  C_GetSlotList: [4, 'uint8_t present, _Out_ unsigned long *slots, _Inout_ unsigned long *count'],
  C_GetTokenInfo: [6, 'unsigned long slot, _Out_ uint8_t *info'],
  C_OpenSession: [
    12,
    'unsigned long slot, unsigned long flags, void *application, void *notify, _Out_ unsigned long *session',
  ],
  C_Login: [18, 'unsigned long session, unsigned long user, uint8_t *pin, unsigned long length'],
  C_DestroyObject: [22, 'unsigned long session, unsigned long object'],
  C_FindObjectsInit: [26, 'unsigned long session, CkAttribute *attributes, unsigned long count'],
  C_FindObjects: [
    27,
    'unsigned long session, _Out_ unsigned long *objects, unsigned long max, _Out_ unsigned long *count',
  ],
  C_FindObjectsFinal: [28, 'unsigned long session'],
  C_EncryptInit: [29, 'unsigned long session, CkMechanism *mechanism, unsigned long key'],
  C_Encrypt: [
    30,
    'unsigned long session, uint8_t *data, unsigned long length, _Out_ uint8_t *out, _Inout_ unsigned long *outLength',
  ],
  C_DecryptInit: [33, 'unsigned long session, CkMechanism *mechanism, unsigned long key'],
  C_Decrypt: [
    34,
    'unsigned long session, uint8_t *data, unsigned long length, _Out_ uint8_t *out, _Inout_ unsigned long *outLength',
  ],
  C_GenerateKey: [
    58,
    'unsigned long session, CkMechanism *mechanism, CkAttribute *attributes, unsigned long count, _Out_ unsigned long *key',
  ],
} as const;
type FunctionName = keyof typeof functions;

const ok = 0;
const alreadyInitialized = 0x191;
const alreadyLoggedIn = 0x100;
const tokenInfoBytes = 512;
const labelBytes = 32;
const sessionFlags = 0x4 | 0x2; // serial, read and write
const userType = 1;
const secretKeyClass = 4;
const aesKeyType = 0x1f;
const aesKeyGen = 0x1080;
const aesGcm = 0x1087;
const attribute = {
  class: 0x0,
  token: 0x1,
  private: 0x2,
  label: 0x3,
  keyType: 0x100,
  sensitive: 0x103,
  encrypt: 0x104,
  decrypt: 0x105,
  valueBytes: 0x161,
  extractable: 0x162,
} as const;
const kekBytes = 32;
const ivBytes = 12;
const tagBytes = 16;

export class Cryptoki {
  readonly #koffi: Koffi;
  readonly #list: unknown;
  readonly #prototypes: Map<FunctionName, unknown> = new Map();
  #session = 0;

  constructor(koffi: Koffi, modulePath: string) {
    this.#koffi = koffi;
    koffi.struct('CkAttribute', { type: 'unsigned long', value: 'void *', bytes: 'unsigned long' });
    koffi.struct('CkMechanism', { mechanism: 'unsigned long', parameter: 'void *', bytes: 'unsigned long' });
    koffi.struct('CkInitializeArgs', {
      create: 'void *',
      destroy: 'void *',
      lock: 'void *',
      unlock: 'void *',
      flags: 'unsigned long',
      reserved: 'void *',
    });
    const list: unknown[] = [null];
    const returned = koffi.load(modulePath).func('unsigned long C_GetFunctionList(_Out_ void **list)')(list);
    if (returned !== ok) throw new CryptokiError('C_GetFunctionList', returned);
    this.#list = list[0];
  }

  /** Finds the token and signs in. */
  open(tokenLabel: string, pin: string): void {
    const initialized = this.#try('C_Initialize', null);
    if (initialized !== ok && initialized !== alreadyInitialized) throw new CryptokiError('C_Initialize', initialized);
    const session = [0];
    this.#call('C_OpenSession', this.#slotOf(tokenLabel), sessionFlags, null, null, session);
    this.#session = Number(session[0]);
    const pinBytes = Buffer.from(pin);
    const signedIn = this.#try('C_Login', this.#session, userType, pinBytes, pinBytes.length);
    pinBytes.fill(0);
    if (signedIn !== ok && signedIn !== alreadyLoggedIn) throw new CryptokiError('C_Login', signedIn);
  }

  /** IV ‖ ciphertext ‖ tag. Undefined where there is no such key. */
  encrypt(label: string, secret: Uint8Array, aad: Uint8Array, iv: Uint8Array): Uint8Array | undefined {
    const key = this.#find(label);
    if (key === undefined) return undefined;
    const gcm = gcmOf(this.#koffi, Buffer.from(iv), Buffer.from(aad));
    this.#call('C_EncryptInit', this.#session, gcm.mechanism, key);
    return Buffer.concat([iv, this.#output('C_Encrypt', secret, secret.length + tagBytes, gcm.keep)]);
  }

  decrypt(label: string, wrapped: Uint8Array, aad: Uint8Array): Uint8Array | undefined {
    const key = this.#find(label);
    if (key === undefined) return undefined;
    const gcm = gcmOf(this.#koffi, Buffer.from(wrapped.subarray(0, ivBytes)), Buffer.from(aad));
    this.#call('C_DecryptInit', this.#session, gcm.mechanism, key);
    return this.#output('C_Decrypt', wrapped.subarray(ivBytes), wrapped.length, gcm.keep);
  }

  generate(label: string): void {
    const template = templateOf([
      [attribute.class, ulong(secretKeyClass)],
      [attribute.keyType, ulong(aesKeyType)],
      [attribute.valueBytes, ulong(kekBytes)],
      [attribute.label, Buffer.from(label)],
      [attribute.token, yes],
      [attribute.private, yes],
      [attribute.sensitive, yes],
      [attribute.extractable, no],
      [attribute.encrypt, yes],
      [attribute.decrypt, yes],
    ]);
    const mechanism = { mechanism: aesKeyGen, parameter: null, bytes: 0 };
    this.#call('C_GenerateKey', this.#session, mechanism, template, template.length, [0]);
  }

  /** True where there was one. */
  destroy(label: string): boolean {
    const key = this.#find(label);
    if (key === undefined) return false;
    this.#call('C_DestroyObject', this.#session, key);
    return true;
  }

  #slotOf(tokenLabel: string): number {
    const count = [0];
    this.#call('C_GetSlotList', 1, null, count);
    const slots = new BigUint64Array(Number(count[0]));
    this.#call('C_GetSlotList', 1, slots, count);
    for (const slot of slots) {
      const info = Buffer.alloc(tokenInfoBytes);
      if (this.#try('C_GetTokenInfo', slot, info) !== ok) continue;
      if (info.toString('utf8', 0, labelBytes).trimEnd() === tokenLabel) return Number(slot);
    }
    throw new CryptokiError('the search for the token', 0xe0);
  }

  #find(label: string): number | undefined {
    const template = templateOf([
      [attribute.class, ulong(secretKeyClass)],
      [attribute.keyType, ulong(aesKeyType)],
      [attribute.label, Buffer.from(label)],
    ]);
    this.#call('C_FindObjectsInit', this.#session, template, template.length);
    const objects = new BigUint64Array(2);
    const count = [0];
    try {
      this.#call('C_FindObjects', this.#session, objects, objects.length, count);
    } finally {
      this.#try('C_FindObjectsFinal', this.#session);
    }
    // Two keys of one name: which one is meant can't be known.
    if (Number(count[0]) > 1) throw new CryptokiError('the search for the key, of which there are several,', 0x62);
    return Number(count[0]) === 0 ? undefined : Number(objects[0]);
  }

  #output(name: 'C_Encrypt' | 'C_Decrypt', input: Uint8Array, bytesMax: number, keep: unknown): Uint8Array {
    const out = Buffer.alloc(bytesMax);
    const length = [bytesMax];
    this.#call(name, this.#session, input, input.length, out, length);
    if (keep === undefined) throw new TypeError('the parameters of the mechanism live until here');
    return out.subarray(0, Number(length[0]));
  }

  #call(name: FunctionName, ...parameters: unknown[]): void {
    const returned = this.#try(name, ...parameters);
    if (returned !== ok) throw new CryptokiError(name, returned);
  }

  #try(name: FunctionName, ...parameters: unknown[]): number {
    const [position, takes] = functions[name];
    let prototype = this.#prototypes.get(name);
    if (prototype === undefined) {
      prototype = this.#koffi.proto(`unsigned long ${name}(${takes})`);
      this.#prototypes.set(name, prototype);
    }
    // The list begins with a version of two bytes, and pads to a pointer.
    const pointer = this.#koffi.decode(this.#list, 8 * (position + 1), 'void *');
    return Number(this.#koffi.call(pointer, prototype, ...parameters));
  }
}

const yes: Uint8Array = Uint8Array.of(1);
const no: Uint8Array = Uint8Array.of(0);

function ulong(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

function templateOf(
  entries: readonly (readonly [number, Uint8Array])[],
): { type: number; value: Uint8Array; bytes: number }[] {
  return entries.map(([type, value]) => ({ type, value, bytes: value.length }));
}

/** CK_MECHANISM with CK_GCM_PARAMS. The bytes it points to must live until the operation is over: the module may not copy them. */
function gcmOf(koffi: Koffi, iv: Uint8Array, aad: Uint8Array): { readonly mechanism: object; readonly keep: unknown } {
  const members = [
    koffi.address(iv),
    BigInt(iv.length),
    BigInt(8 * iv.length),
    aad.length === 0 ? 0n : koffi.address(aad),
    BigInt(aad.length),
    BigInt(8 * tagBytes),
  ];
  const parameter = new Uint8Array(BigUint64Array.from(members).buffer);
  return { mechanism: { mechanism: aesGcm, parameter, bytes: parameter.length }, keep: [iv, aad, parameter] };
}
