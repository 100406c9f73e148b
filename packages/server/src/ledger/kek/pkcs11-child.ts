/**
 * The child process that holds a PKCS#11 module: a vendor's library that hangs or crashes takes nothing of the ledger with it. Started by pkcs11.ts
 * only. One question at a time; the PIN comes in a message, never in an argument or a variable.
 */
import { Cryptoki, CryptokiError } from './cryptoki.ts';

export type Question =
  | { readonly kind: 'open'; readonly module: string; readonly token: string; readonly pin: string }
  | {
      readonly kind: 'encrypt';
      readonly label: string;
      readonly secret: Uint8Array;
      readonly aad: Uint8Array;
      readonly iv: Uint8Array;
    }
  | { readonly kind: 'decrypt'; readonly label: string; readonly wrapped: Uint8Array; readonly aad: Uint8Array }
  | { readonly kind: 'generate'; readonly label: string }
  | { readonly kind: 'destroy'; readonly label: string };

export type Reply =
  /** `bytes` is missing where there is no such key. */
  | { readonly kind: 'done'; readonly bytes?: Uint8Array; readonly found: boolean }
  | { readonly kind: 'returned'; readonly what: string; readonly value: number }
  | { readonly kind: 'koffi-missing' }
  | { readonly kind: 'failed'; readonly message: string };

let module: Cryptoki | undefined;

process.on('message', async (question: Question) => process.send?.(await answer(question)));
process.on('disconnect', () => process.exit(0));

async function answer(question: Question): Promise<Reply> {
  try {
    if (question.kind === 'open') return await open(question);
    if (module === undefined) return { kind: 'failed', message: 'the module is not open' };
    switch (question.kind) {
      case 'encrypt':
        return done(module.encrypt(question.label, question.secret, question.aad, question.iv));
      case 'decrypt':
        return done(module.decrypt(question.label, question.wrapped, question.aad));
      case 'generate':
        module.generate(question.label);
        return { kind: 'done', found: true };
      case 'destroy':
        return { kind: 'done', found: module.destroy(question.label) };
      default:
        return question satisfies never;
    }
  } catch (error) {
    if (error instanceof CryptokiError) return { kind: 'returned', what: error.message, value: error.returned };
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

async function open({ module: path, token, pin }: Extract<Question, { kind: 'open' }>): Promise<Reply> {
  let koffi: ConstructorParameters<typeof Cryptoki>[0];
  try {
    koffi = ((await import('koffi')) as unknown as { default: typeof koffi }).default;
  } catch {
    return { kind: 'koffi-missing' };
  }
  const opened = new Cryptoki(koffi, path);
  opened.open(token, pin);
  module = opened;
  return { kind: 'done', found: true };
}

function done(bytes: Uint8Array | undefined): Reply {
  return bytes === undefined ? { kind: 'done', found: false } : { kind: 'done', bytes, found: true };
}
