/**
 * Loads the embedded issuer when it is needed: its provider is large. The provider calls every runtime unsupported that doesn't carry the
 * name of a long-term release it knows; ours is pinned and tested (docs/decisions/0001-runtime.md), and whoever starts a server for the first time
 * should not be told to install another. That one line is kept back, and no other.
 */

const keptBack = /^oidc-provider WARNING: Unsupported runtime\b/;

export async function loadIssuer(): Promise<typeof import('./issuer.ts')> {
  const { warn } = console;
  console.warn = (...said: unknown[]): void => {
    if (typeof said[0] !== 'string' || !keptBack.test(said[0])) warn(...said);
  };
  try {
    return await import('./issuer.ts');
  } finally {
    console.warn = warn;
  }
}
