/** `DIR/demo.json`: everything somebody needs to use the running demo (design §9). Removed at start, written by rename, 0600. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface DemoFile {
  /** Without trailing slashes; the gateway serves the hospital's FHIR API at `/fhir`. */
  readonly urls: {
    readonly console: string;
    readonly server: string;
    readonly gateway: string;
    readonly issuer: string;
    readonly upstream: string;
  };
  /** Absolute path of the CA certificate of the gateway. */
  readonly ca: string;
  readonly tenant: string;
  readonly writeKey: string;
  /** The first of each role first; `token` is an access token for the gateway, good for 24 h. */
  readonly people: readonly {
    readonly role: string;
    readonly username: string;
    readonly password: string;
    readonly token: string;
  }[];
  readonly pids: Readonly<Record<string, number>>;
}

export function demoFilePath(dataDir: string): string {
  return join(dataDir, 'demo.json');
}

export async function removeDemoFile(dataDir: string): Promise<void> {
  await rm(demoFilePath(dataDir), { force: true });
}

export async function writeDemoFile(dataDir: string, demo: DemoFile): Promise<void> {
  await writePrivateFile(demoFilePath(dataDir), `${JSON.stringify(demo, null, 2)}\n`);
}

export async function writePrivateFile(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  await rm(beside, { force: true });
  await writeFile(beside, text, { mode: 0o600 });
  await rename(beside, path);
}
