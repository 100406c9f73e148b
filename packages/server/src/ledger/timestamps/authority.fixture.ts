/** A real timestamp authority for tests: `openssl ts` with a root and a signer of its own, behind a tiny HTTP listener where one is asked for. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { childrenOf, type Der, encodeDer, readDer, tags } from './der.ts';

const run = promisify(execFile);

export function hasOpenssl(): boolean {
  return spawnSync('openssl', ['version']).status === 0;
}

export type KeyKind = 'rsa' | 'ec';

export interface TestAuthority extends AsyncDisposable {
  readonly dir: string;
  /** PEM of the root. */
  readonly caFile: string;
  readonly reply: (request: Uint8Array) => Promise<Buffer>;
  /** What it stamped, signed again with a certificate of another use under the same root. */
  readonly signedFor: (use: string, response: Uint8Array) => Promise<Uint8Array>;
  readonly opensslVerify: (response: Uint8Array, message: Uint8Array) => Promise<string>;
  /** Listens on loopback and answers application/timestamp-query; counts the requests. */
  readonly listen: () => Promise<{ readonly url: string; readonly asked: () => number } & AsyncDisposable>;
}

const keyOptions: Readonly<Record<KeyKind, readonly string[]>> = {
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  ec: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
};

export async function makeAuthority(kind: KeyKind): Promise<TestAuthority> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-tsa-'));
  const at = (name: string): string => join(dir, name);
  const openssl = (...args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
    run('openssl', [...args], { cwd: dir });
  await openssl('genpkey', ...keyOptions[kind], '-out', 'ca.key');
  await openssl('req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=Test Root', '-days', '30', '-out', 'ca.pem');
  const signer = async (use: string): Promise<string> => {
    await openssl('genpkey', ...keyOptions[kind], '-out', `${use}.key`);
    await openssl('req', '-new', '-key', `${use}.key`, '-subj', '/CN=Test TSA', '-out', `${use}.csr`);
    await writeFile(at(`${use}.ext`), `extendedKeyUsage=critical,${use}\nkeyUsage=critical,digitalSignature\n`);
    const from = ['-in', `${use}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30'];
    await openssl('x509', '-req', ...from, '-extfile', `${use}.ext`, '-out', `${use}.pem`);
    await writeFile(at(`${use}.serial`), '01\n');
    await writeFile(at(`${use}.cnf`), configOf(dir, use));
    return use;
  };
  let made = 0;
  // One after the other: openssl counts serial numbers in a file.
  let turn: Promise<unknown> = Promise.resolve();
  const replyAs =
    (use: string) =>
    (request: Uint8Array): Promise<Buffer> => {
      const done = turn.then(async () => {
        const name = `${use}-${made++}`;
        await writeFile(at(`${name}.tsq`), request);
        await openssl('ts', '-reply', '-config', `${use}.cnf`, '-queryfile', `${name}.tsq`, '-out', `${name}.tsr`);
        return await readFile(at(`${name}.tsr`));
      });
      turn = done.catch(() => undefined);
      return done;
    };
  const reply = replyAs(await signer('timeStamping'));
  return {
    dir,
    caFile: at('ca.pem'),
    reply,
    async signedFor(use, response) {
      if (use !== 'timeStamping') await signer(use);
      const token = childrenOf(readDer(response))[1] as Der;
      const data = childrenOf(childrenOf(childrenOf(token)[1] as Der)[0] as Der);
      const content = childrenOf(childrenOf(data[2] as Der)[1] as Der)[0] as Der;
      await writeFile(at('tst.der'), content.content);
      const by = ['-signer', `${use}.pem`, '-inkey', `${use}.key`, '-md', 'sha256', '-cades', '-nosmimecap'];
      const what = ['-econtent_type', '1.2.840.113549.1.9.16.1.4', '-binary', '-nodetach', '-in', 'tst.der'];
      await openssl('cms', '-sign', ...by, ...what, '-outform', 'DER', '-out', 'signed.der');
      const granted = encodeDer(tags.sequence, encodeDer(tags.integer, Uint8Array.of(0)));
      return encodeDer(tags.sequence, granted, await readFile(at('signed.der')));
    },
    async opensslVerify(response, message) {
      await writeFile(at('verify.tsr'), response);
      await writeFile(at('verify.txt'), message);
      const { stdout, stderr } = await openssl(
        'ts',
        '-verify',
        '-in',
        'verify.tsr',
        '-data',
        'verify.txt',
        '-CAfile',
        'ca.pem',
      );
      return stdout + stderr;
    },
    async listen() {
      let asked = 0;
      const server = createServer(async (request, response) => {
        asked++;
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        assert.equal(request.headers['content-type'], 'application/timestamp-query');
        const body = await reply(Buffer.concat(chunks));
        response.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(body);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
        asked: () => asked,
        async [Symbol.asyncDispose]() {
          server.closeAllConnections();
          await new Promise((resolve) => server.close(resolve));
        },
      };
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

function configOf(dir: string, use: string): string {
  return `[tsa]
default_tsa = tsa_config
[tsa_config]
dir = ${dir}
serial = ${dir}/${use}.serial
signer_cert = ${dir}/${use}.pem
certs = ${dir}/ca.pem
signer_key = ${dir}/${use}.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`;
}
