/** A whole server, as it is started from its configuration: keys, indexes and ledger end together, also over a restart in the middle. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyLedger } from '@watchglass/record/reader';
import { call } from './call.fixture.ts';
import { freePort } from './free-ports.fixture.ts';
import { type RunningServer, readConfig, type ServerConfig, startServer } from './index.ts';
import { realWorld } from './world/real-world.ts';
import type { World } from './world/world.ts';

async function configuration(dir: string): Promise<ServerConfig> {
  const [server, issuer] = [await freePort(), await freePort()];
  await writeFile(join(dir, 'roster.json'), JSON.stringify({ staff: [] }));
  await writeFile(
    join(dir, 'watchglass.yaml'),
    `data: ./data
listen: { port: ${server} }
url: http://localhost:${server}
tenants: [clinic, other]
origin: test.watchglass.example
issuer: { embedded: true, url: "http://localhost:${issuer}", listen: { port: ${issuer} } }
retention: { access: 30, approval: { acr: ["urn:watchglass:acr:password"] } }
demo: { people: roster.json }
log: { level: silent }
`,
  );
  return readConfig(join(dir, 'watchglass.yaml'));
}

test('a configured server ends what is over: key, seeds, index and token key; another tenant reads on under the new key', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-retention-'));
  let aheadMs = 0;
  const real = realWorld();
  const world: World = { ...real, clock: { ...real.clock, now: () => real.clock.now() + aheadMs } };
  const config = await configuration(dir);
  let server: RunningServer | undefined;
  try {
    const demo = async (): Promise<{ writeKey: string; token: (role: string) => string }> => {
      const text = await readFile(join(config.dataDir, 'demo/tokens.json'), 'utf8');
      const { writeKey, people } = JSON.parse(text) as { writeKey: string; people: { role: string; token: string }[] };
      return { writeKey, token: (role) => people.find((one) => one.role === role)?.token ?? '' };
    };
    const event = {
      kind: 'api',
      action: 'read',
      operation: 'read',
      outcome: { status: 'success', code: 200 },
      actor: { id: 'nurse-1', type: 'human' },
      targets: [{ type: 'Observation', id: 'o-1', patient: 'wg-pt-1' }],
    };
    server = await startServer(config, { world });
    const posted = await call(`${server.url}/v1/events`, (await demo()).writeKey, event);
    const [receipt] = posted.body.receipts as { index: number }[];
    await server[Symbol.asyncDispose]();

    aheadMs = 70 * 86_400_000;
    server = await startServer(config, { world });
    const { url } = server;
    const { token, writeKey } = await demo();
    await call(`${url}/v1/events`, writeKey, event);
    const [officer, administrator] = [token('privacy-officer'), token('administrator')];
    const confirmed = await call(`${url}/v1/retention/confirm`, officer, { class: 'access', days: 30 });
    assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
    const proposed = await call(`${url}/v1/retention/proposals`, officer, {});
    assert.equal(proposed.status, 201, JSON.stringify(proposed.body));
    const { id, plan, about } = proposed.body as { id: string; plan: string; about: { units: { unit: string }[] } };
    assert.equal(about.units.length, 1);
    const unit = about.units[0]?.unit as string;
    await call(`${url}/v1/retention/proposals/${id}/approve`, administrator, { plan });
    const tokenKey = await readFile(join(config.dataDir, `index/clinic/${unit}.token-key`));
    const done = await call(`${url}/v1/retention/proposals/${id}/execute`, administrator, {});
    assert.equal(done.status, 200, JSON.stringify(done.body));
    assert.equal((await call(`${url}/v1/events/${receipt?.index}`, officer)).status, 410);
    const left = await readdir(join(config.dataDir, 'index/clinic'));
    if (left.includes(`${unit}.token-key`))
      assert.notDeepEqual(await readFile(join(config.dataDir, `index/clinic/${unit}.token-key`)), tokenKey);
    await server[Symbol.asyncDispose]();

    server = await startServer(config, { world });
    const again = (await demo()).token('privacy-officer');
    assert.equal((await call(`${url}/v1/events/${receipt?.index}`, again)).status, 410);
    for (;;) {
      const found = await call(`${url}/v1/events/search`, again, { patient: 'wg-pt-1', kind: 'api' });
      assert.equal(found.status, 200, JSON.stringify(found.body));
      if ((found.body.events as unknown[]).length === 1 && found.body.unindexed === undefined) break;
    }
    await server[Symbol.asyncDispose]();
    server = undefined;
    const report = await verifyLedger({
      ledgerDir: join(config.dataDir, 'ledger'),
      keysDir: join(config.dataDir, 'keys'),
      full: true,
    });
    assert.deepEqual(report.findings, []);
    assert.deepEqual(
      report.tenants.map(({ tenant, shredded }) => [tenant, shredded]),
      [
        ['clinic', 1],
        ['other', 0],
      ],
    );
  } finally {
    await server?.[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true });
  }
});
