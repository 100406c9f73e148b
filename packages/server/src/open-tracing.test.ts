/** A server whose traces could not arrive, or whose secret anybody could read, does not start; one without the section has nothing of it. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';

import { parseConfig } from './config/config.ts';
import { openTracing } from './open-tracing.ts';
import { realWorld } from './world/real-world.ts';

const base = `data: d
listen: { port: 1 }
url: http://localhost:1
tenants: [clinic]
origin: test.example
issuer: { embedded: true, url: "http://localhost:2", listen: { port: 2 } }
`;

test('what `tracing` names has to be there, private where it is a secret, and readable as what it is', async (context) => {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-tracing-'));
  context.after(() => rm(dir, { recursive: true }));
  const open = async (keys: string): Promise<string> => {
    const config = parseConfig(
      `${base}tracing: { endpoint: "http://127.0.0.1:1"${keys} }\n`,
      join(dir, 'watchglass.yaml'),
    );
    try {
      const tracing = await openTracing(config, realWorld(), pino({ level: 'silent' }));
      await tracing?.[Symbol.asyncDispose]();
      return 'opened';
    } catch (error) {
      return `${(error as { code?: string }).code}: ${(error as Error).message}`;
    }
  };
  const headers = join(dir, 'collector.headers');
  assert.equal(await open(''), 'opened');
  assert.match(await open(', headersFile: collector.headers'), /^config-invalid: tracing.headersFile: there is no /);
  await writeFile(headers, 'authorization: Bearer secret\nBearer secret\n', { mode: 0o600 });
  const problem = await open(', headersFile: collector.headers');
  assert.match(problem, /^config-invalid: .*collector\.headers: line 2: expected the name of a header/);
  assert.doesNotMatch(problem, /secret/);
  await writeFile(headers, 'authorization: Bearer secret\n');
  assert.equal(await open(', headersFile: collector.headers'), 'opened');
  await chmod(headers, 0o644);
  assert.match(await open(', headersFile: collector.headers'), /^key-file-exposed: /);
  assert.match(await open(', ca: ca.pem'), /^config-invalid: tracing.ca: there is no /);
});

test('without `tracing` there is none', async () => {
  const config = parseConfig(base, '/nowhere/watchglass.yaml');
  assert.equal(await openTracing(config, realWorld(), pino({ level: 'silent' })), undefined);
});
