import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from './main.ts';
import { freePort } from './ports.ts';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function watchglass(
  argv: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await run(argv, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: options.env ?? {},
    cwd: options.cwd ?? tmpdir(),
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

async function withServer(listener: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

async function withFolder(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-cli-'));
  try {
    await use(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

const event = {
  index: 417,
  v: 1,
  time: '2026-03-12T08:00:00.000Z',
  kind: 'api',
  action: 'read',
  operation: 'read',
  outcome: { status: 'success', code: 200 },
  actor: { id: 'amara.osei', roles: ['physician'] },
  targets: [{ type: 'Patient', patient: '·7F3K' }],
};

test('every command has help with an example, and --json', async () => {
  const commands = [
    'demo',
    'serve',
    'gateway',
    'init',
    'config check',
    'verify',
    'monitor',
    'search',
    'tail',
    'completeness',
    'prove',
    'bundle',
    'keys list',
    'keys rotate',
    'keys rewrap',
    'keys export-public',
    'keys rotate-checkpoint',
    'ledger succeed',
    'witness init',
    'witness add-log',
    'witness serve',
    'retention plan',
    'hold list',
    'policy test',
    'policy explain',
    'decisions add',
    'decisions list',
    'decisions lift',
  ];
  for (const name of commands) {
    const { code, out } = await watchglass([...name.split(' '), '--help']);
    assert.equal(code, 0, name);
    assert.match(out, /Examples?:\n {2}watchglass /, name);
    assert.match(out, /--json/, name);
  }
});

test('wrong usage ends with 2 and says what was expected', async () => {
  for (const argv of [
    [],
    ['unknown'],
    ['search', '--limit', 'many'],
    ['prove'],
    ['prove', '-1'],
    ['config'],
    ['demo', '--port-base', '80'],
  ]) {
    const { code, err } = await watchglass(argv);
    assert.equal(code, 2, argv.join(' '));
    assert.notEqual(err, '', argv.join(' '));
    const asJson = await watchglass([...argv, '--json']);
    assert.equal(asJson.code, 2, argv.join(' '));
    const { error } = JSON.parse(asJson.err) as { error: { code: string; message: string } };
    assert.deepEqual([error.code, asJson.out], ['usage', ''], argv.join(' '));
    assert.doesNotMatch(error.message, /^error|^\(/);
  }
  assert.match((await watchglass(['serach'])).err, /unknown command 'serach'\n\(Did you mean search\?\)/);
  const moment = await watchglass(['search', '--server', 'http://127.0.0.1:1', '--from', 'yesterday']);
  assert.equal(moment.code, 2);
  assert.match(moment.err, /expected a moment such as 2026-03-12/);
  const both = await watchglass(['search', '--server', 'http://127.0.0.1:1', '--data', '.']);
  assert.equal(both.code, 2);
});

test('where there is no installation, the commands say how to name one', async () => {
  await withFolder(async (cwd) => {
    const nothing = await watchglass(['search'], { cwd });
    assert.equal(nothing.code, 1);
    assert.match(nothing.err, /there is no \.watchglass in this folder\n.*--data DIR/);
    const stopped = await watchglass(['search', '--data', '.'], { cwd });
    assert.equal(stopped.code, 1);
    assert.match(stopped.err, /no server is running/);
  });
});

test('a server that is not there is an error with a remedy, and JSON where JSON was asked for', async () => {
  const { code, err } = await watchglass([
    'search',
    '--server',
    `http://127.0.0.1:${await freePort()}`,
    '--token',
    't',
    '--json',
  ]);
  assert.equal(code, 1);
  const { error } = JSON.parse(err) as { error: { code: string; message: string; remedy: string } };
  assert.equal(error.code, 'unreachable');
  assert.match(error.message, /ECONNREFUSED/);
  assert.match(error.remedy, /server runs/);
});

test('search sends its filters in a body with the token, pages through, and prints the answer as JSON', async () => {
  const bodies: Record<string, unknown>[] = [];
  await withServer(
    (request, response) => {
      let text = '';
      request.on('data', (chunk) => (text += chunk));
      request.on('end', () => {
        assert.equal(request.url, '/v1/events/search');
        assert.equal(request.headers.authorization, 'Bearer from-the-environment');
        bodies.push(JSON.parse(text));
        const next = bodies.length === 1 ? 'cursor-1' : null;
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ events: [event], next, count: 2 }));
      });
    },
    async (url) => {
      const options = { env: { WATCHGLASS_TOKEN: 'from-the-environment' } };
      const { code, out } = await watchglass(
        ['search', '--server', `${url}/`, '--patient', 'wg-pt-000417', '--all', '--json'],
        options,
      );
      assert.equal(code, 0);
      assert.deepEqual(JSON.parse(out), { events: [event, event], next: null, count: 2 });
      assert.deepEqual(bodies, [
        { patient: 'wg-pt-000417', limit: 500 },
        { patient: 'wg-pt-000417', limit: 500, cursor: 'cursor-1' },
      ]);
      const table = await watchglass(['search', '--server', url], options);
      assert.match(
        table.out,
        /417 {2}2026-03-12 08:00:00.000 {2}amara.osei \(physician\) {2}read .*·7F3K {5}success 200/,
      );
    },
  );
});

test('completeness shows what is red with its words and events, and --strict makes anything but clear exit code 3', async () => {
  const report = {
    tenant: 'clinic',
    verdict: 'red',
    words: 'The record may be incomplete in 1 interval. Examined: entries 0 to 9 of the log.',
    red: [
      {
        kind: 'emitter-silent',
        from: '2026-03-12T08:00:00.000Z',
        to: '2026-03-12T08:10:00.000Z',
        ongoing: true,
        emitter: 'edge',
        evidence: [3, 4, 5, 8],
        words: 'edge has said nothing since.',
      },
    ],
    examined: { from: '2026-03-12T00:00:00.000Z', to: '2026-03-12T08:10:00.000Z', first: 0, end: 10, signs: 4 },
    unexamined: [{ words: '3 entries can’t be found yet.' }],
    limits: ['What never reached a gateway leaves no trace here.'],
    emitters: [],
  };
  const asked: (string | undefined)[] = [];
  let answer: unknown = report;
  await withServer(
    (request, response) => {
      asked.push(request.url);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answer));
    },
    async (url) => {
      const at = ['completeness', '--server', url, '--token', 't'];
      const { code, out, err } = await watchglass([...at, '--from', '2026-03-12', '--to', '2026-03-13']);
      assert.equal(code, 0);
      assert.equal(asked[0], '/v1/completeness?from=2026-03-12T00%3A00%3A00.000Z&to=2026-03-13T00%3A00%3A00.000Z');
      assert.match(out, /2026-03-12 08:00:00 {2}now {2,}emitter silent {2}edge {5}3, 4, 5, \+1\n {2}edge has said/);
      assert.match(out, /Not examined:\n {2}3 entries/);
      assert.match(err, /leaves no trace here/);
      const asJson = await watchglass([...at, '--json']);
      assert.deepEqual([asJson.code, JSON.parse(asJson.out), asked[1]], [0, report, '/v1/completeness']);
      assert.equal((await watchglass([...at, '--strict'])).code, 3);
      answer = { ...report, verdict: 'clear', red: [], unexamined: [] };
      assert.equal((await watchglass([...at, '--strict'])).code, 0);
      answer = { ...report, red: 'none' };
      assert.equal((await watchglass(at)).code, 1);
      assert.equal((await watchglass([...at, '--from', 'yesterday'])).code, 2);
    },
  );
});

test('a problem of the server is shown with its title, its places and what to do', async () => {
  await withServer(
    (_request, response) => {
      response.writeHead(400, { 'content-type': 'application/problem+json' });
      const errors = [{ path: '/action', expected: 'one of create, read', got: '"peek"' }];
      response.end(
        JSON.stringify({ title: 'A filter is not valid', detail: 'Correct it.', code: 'query-invalid', errors }),
      );
    },
    async (url) => {
      const { code, err } = await watchglass(['search', '--server', url, '--token', 't']);
      assert.equal(code, 1);
      assert.equal(err.match(/got "peek"/g)?.length, 1, 'what is wrong is said once');
      assert.match(
        err,
        /A filter is not valid \(400 query-invalid\)\n {2}\/action: expected one of create, read, got "peek"\n {2}Correct it\./,
      );
    },
  );
});

test('a token is not sent on to where a redirect points', async () => {
  await withServer(
    (request, response) => {
      assert.equal(request.url, '/v1/events/search');
      response.writeHead(307, { location: '/elsewhere' }).end();
    },
    async (url) => {
      const { code, err } = await watchglass(['search', '--server', url, '--token', 't']);
      assert.equal(code, 1);
      assert.match(err, /307/);
    },
  );
});

test('tail prints a line an event and ends after --count', async () => {
  await withServer(
    (_request, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.write(': hello\n\n');
      for (let i = 0; i < 3; i++) response.write(`event: event\ndata: ${JSON.stringify({ ...event, index: i })}\n\n`);
    },
    async (url) => {
      const { code, out } = await watchglass(['tail', '--server', url, '--token', 't', '--json', '--count', '2']);
      assert.equal(code, 0);
      assert.deepEqual(
        out
          .trim()
          .split('\n')
          .map((line) => (JSON.parse(line) as { index: number }).index),
        [0, 1],
      );
    },
  );
});

test('what comes from the network cannot move the cursor of a terminal', async () => {
  await withServer(
    (_request, response) => {
      const actor = { id: '\u001b[2Jevil\r\n' };
      response.end(JSON.stringify({ events: [{ ...event, actor }], next: null, count: 1 }));
    },
    async (url) => {
      const { out } = await watchglass(['search', '--server', url, '--token', 't']);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
      assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f]/);
      assert.match(out, /evil/);
    },
  );
});

test('config check names a file that is not there, and ends with 1', async () => {
  await withFolder(async (cwd) => {
    const none = await watchglass(['config', 'check'], { cwd });
    assert.equal(none.code, 2);
    const { code, out } = await watchglass(['config', 'check', 'missing.yaml', '--json'], { cwd });
    assert.equal(code, 1);
    assert.deepEqual(JSON.parse(out), {
      ok: false,
      files: [{ file: 'missing.yaml', kind: 'unknown', ok: false, problems: ['there is no such file'] }],
    });
  });
});

test('init refuses a folder that has something of it already, and changes nothing', async () => {
  await withFolder(async (cwd) => {
    await writeFile(join(cwd, 'gateway.yaml'), 'mine');
    const { code, err } = await watchglass(['init'], { cwd });
    assert.equal(code, 1);
    assert.match(err, /already has gateway\.yaml/);
    assert.equal(await readFile(join(cwd, 'gateway.yaml'), 'utf8'), 'mine');
  });
});

test('verify refuses what is neither directory, server nor proof', async () => {
  await withFolder(async (cwd) => {
    await writeFile(join(cwd, 'notes.txt'), 'hello');
    assert.equal((await watchglass(['verify', 'notes.txt'], { cwd })).code, 2);
    assert.equal((await watchglass(['verify', 'missing'], { cwd })).code, 1);
  });
});
