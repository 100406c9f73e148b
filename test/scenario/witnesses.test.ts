/**
 * A server and three witnesses, real processes all: two of three have to cosign. One hangs, then lies, and is not needed; then the data directory is put back to an
 * older copy, and the server says so before it writes anything.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { openWitnessed, parseCheckpoint, parsePolicy } from '@watchglass/record';
import { makeFolder, type Spawned, spawnWatchglass, until, watchglass, watchglassJson } from './command.fixture.ts';
import { anEvent, type Installation, install, post, serve } from './server.fixture.ts';

interface RunningWitness extends AsyncDisposable {
  readonly url: string;
  readonly vkey: string;
  readonly addLog: (vkey: string) => Promise<void>;
}

async function startWitness(folder: string, name: string): Promise<RunningWitness> {
  const { vkey, config } = await watchglassJson<{ vkey: string; config: string }>([
    ...['witness', 'init', join(folder, name), '--name', `witness.example/${name}`],
  ]);
  await writeFile(config, (await readFile(config, 'utf8')).replace(/port: \d+/, 'port: 0'));
  const spawned: Spawned = spawnWatchglass(['witness', 'serve', '--config', config, '--json']);
  const url = await until(() => {
    assert.equal(spawned.process.exitCode, null, spawned.err());
    return /"url":"([^"]+)"/.exec(spawned.out())?.[1];
  }, name);
  return {
    url,
    vkey,
    async addLog(log) {
      await watchglassJson(['witness', 'add-log', log, '--config', config]);
    },
    async [Symbol.asyncDispose]() {
      const ended = once(spawned.process, 'exit');
      spawned.process.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null], spawned.err());
    },
  };
}

/** Stands before a witness and does with its answers what `mood` says. */
async function startGoBetween(
  behind: string,
): Promise<{ readonly url: string; mood: 'hangs' | 'lies' | 'honest'; asked: number } & AsyncDisposable> {
  const held: ServerResponse[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    go.asked++;
    if (go.mood === 'hangs') return void held.push(response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const honest = await fetch(`${behind}${request.url}`, {
      method: request.method ?? 'GET',
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    });
    const body = await honest.text();
    const lie = honest.status === 200 && request.method === 'POST' ? spoil(body) : body;
    response.writeHead(honest.status, { 'content-type': honest.headers.get('content-type') ?? '' });
    response.end(go.mood === 'lies' ? lie : body);
  };
  const server: Server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const go = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mood: 'hangs' as 'hangs' | 'lies' | 'honest',
    asked: 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return go;
}

function spoil(lines: string): string {
  const at = lines.length - 12;
  return `${lines.slice(0, at)}${lines[at] === 'A' ? 'B' : 'A'}${lines.slice(at + 1)}`;
}

interface Ready {
  readonly status: string;
  readonly witnesses: readonly {
    readonly state: string;
    readonly size: number;
    readonly behind: number;
    readonly cosignatures: number;
    readonly witnesses: readonly { readonly name: string; readonly size: number; readonly fault?: string }[];
  }[];
}

async function health(installation: Installation): Promise<Ready> {
  return (await (await fetch(`${installation.url}/healthz`)).json()) as Ready;
}

async function logText(installation: Installation, name: string): Promise<string> {
  const response = await fetch(`${installation.url}/log/clinic/${name}`);
  assert.equal(response.status, 200, name);
  return await response.text();
}

test('two of three witnesses cosign within seconds, whatever the third does; an older copy is refused at the start', {
  timeout: 600_000,
}, async () => {
  await using folder = await makeFolder('witnesses');
  const installation = await install(join(folder.path, 'wg'));
  await using one = await startWitness(folder.path, 'w1');
  await using two = await startWitness(folder.path, 'w2');
  await using three = await startWitness(folder.path, 'w3');
  await using between = await startGoBetween(three.url);
  for (const witness of [one, two, three]) await witness.addLog(installation.vkey);
  const policyFile = join(installation.dir, 'witnesses.policy');
  const policy = `log ${installation.vkey} ${installation.url}/log/clinic
witness w1 ${one.vkey} ${one.url}
witness w2 ${two.vkey} ${two.url}
witness w3 ${three.vkey} ${between.url}
group two-of-three 2 w1 w2 w3
quorum two-of-three
`;
  await writeFile(policyFile, policy);
  const config = await readFile(installation.config, 'utf8');
  await writeFile(installation.config, `${config}\nwitnesses:\n  policy: ./witnesses.policy\n  strict: true\n`);
  assert.equal((await watchglass(['config', 'check', installation.config])).code, 0);

  {
    await using server = await serve(installation);
    // A receipt doesn't wait for anybody.
    const { status } = await post(installation, anEvent());
    assert.equal(status, 201);
    const before = (await health(installation)).witnesses[0];
    assert.equal(before?.state, 'witnessed');
    const cosigned = await until(async () => {
      const [log] = (await health(installation)).witnesses;
      return log?.behind === 0 ? log : undefined;
    }, 'the newest head cosigned');
    assert.equal(cosigned.cosignatures, 2);
    assert.ok(between.asked > 0);
    assert.equal(cosigned.witnesses[2]?.fault, 'witness-deadline');
    const note = await logText(installation, 'cosigned');
    const opened = openWitnessed(note, parsePolicy(policy));
    assert.equal(opened.quorum, true);
    // The newest checkpoint and the cosigned one are the same just now: it goes out with its cosignatures.
    assert.equal(await logText(installation, 'checkpoint'), note);
    assert.match(
      await (await fetch(`${installation.url}/metrics`)).text(),
      /watchglass_witness_failures\{tenant="clinic",witness="w3"\} [1-9]/,
    );

    between.mood = 'lies';
    await post(installation, anEvent());
    await until(async () => {
      const [log] = (await health(installation)).witnesses;
      return log?.witnesses[2]?.fault === 'witness-signature-invalid' ? true : undefined;
    }, 'the lie found out');
    between.mood = 'honest';
    await until(
      async () => ((await health(installation)).witnesses[0]?.witnesses[2]?.fault === undefined ? true : undefined),
      'the third back',
    );
    const head = parseCheckpoint(await logText(installation, 'checkpoint')).size;
    await until(
      async () => (parseCheckpoint(await logText(installation, 'cosigned')).size >= head ? true : undefined),
      'all of it cosigned',
    );

    // A proof leads to what witnesses vouch for.
    const proof = join(folder.path, 'event.tlog-proof');
    const { leaf } = await watchglassJson<{ leaf: string }>([
      'prove',
      '1',
      '--data',
      installation.dataDir,
      '--out',
      proof,
    ]);
    assert.equal(
      (await watchglass(['verify', proof, '--vkey', installation.vkey, '--policy', policyFile, '--leaf', leaf])).code,
      0,
    );
    const remote = await watchglass(['verify', installation.url, '--policy', policyFile]);
    assert.equal(remote.code, 0, remote.out + remote.err);
    assert.match(remote.out, /witnessed to \d+ by w1, w2(, w3)?, \d+ (second|minute)s? ago/);
    assert.equal(await server.stop(), 0);
  }

  const local = await watchglassJson<{
    intact: boolean;
    pinned: boolean;
    tenants: readonly { size: number; witnessed: { quorum: boolean; size: number } }[];
  }>(['verify', installation.dataDir, '--policy', policyFile]);
  assert.deepEqual([local.intact, local.pinned, local.tenants[0]?.witnessed.quorum], [true, true, true]);

  // Somebody puts the data directory back to an older copy, all of it.
  const older = join(folder.path, 'older');
  await cp(installation.dataDir, older, { recursive: true });
  {
    await using server = await serve(installation);
    // Once, however often the server started with it.
    const recorded = ['search', '--operation', 'witness-policy', '--data', installation.dataDir];
    assert.equal((await watchglassJson<{ count: number }>(recorded)).count, 1);
    await post(
      installation,
      Array.from({ length: 5 }, () => anEvent()),
    );
    await until(async () => ((await health(installation)).witnesses[0]?.behind === 0 ? true : undefined), 'cosigned');
    await server.stop();
  }
  await rename(installation.dataDir, join(folder.path, 'newest'));
  await rename(older, installation.dataDir);
  assert.equal((await watchglass(['verify', installation.dataDir])).code, 0, 'by itself it is consistent');
  const sizeBefore = parseCheckpoint(
    await readFile(join(installation.dataDir, 'ledger/clinic/checkpoint'), 'utf8'),
  ).size;
  await using server = await serve(installation, '/healthz');
  const refused = await post(installation, anEvent());
  assert.equal(refused.status, 503);
  const said = server.spawned.err();
  assert.match(
    said,
    /the ledger is read-only: the witness w[123] has cosigned \d+ leaves of clinic, the files hold \d+: an older copy was restored/,
  );
  assert.match(said, new RegExp(`the files hold ${sizeBefore}:`));
  assert.equal((await fetch(`${installation.url}/readyz`)).status, 503);
  const { ledger } = (await (
    await fetch(`${installation.url}/v1/status`, { headers: { authorization: `Bearer ${installation.operatorToken}` } })
  ).json()) as { ledger: { state: { reason: string } } };
  assert.match(ledger.state.reason, /docs\/witnesses\.md/);
  assert.equal(parseCheckpoint(await logText(installation, 'checkpoint')).size, sizeBefore, 'nothing was signed on it');
});
