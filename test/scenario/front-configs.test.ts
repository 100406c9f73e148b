/**
 * The configurations of deploy/fronts as somebody copies them: accepted by the program they are for, without a word of warning, and for Envoy, which no package here has, held against
 * every message of its own API. Traefik has no files to be held against; that its two halves say the same is all that is looked at.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { parse } from 'yaml';

import { selfSigned } from '../../packages/gateway/src/certificate.fixture.ts';
import { outcomesPath } from '../../packages/gateway/src/fronts/authz-server.ts';
import { authzPaths } from '../../packages/gateway/src/fronts/dialects.ts';
import { EnvoyApi } from '../../packages/gateway/src/fronts/envoy-config.fixture.ts';
import { checkFront, missingFront, type RealFrontName } from './real-front.fixture.ts';

const deployed = join(import.meta.dirname, '../../deploy/fronts');

describe('the configurations of deploy/fronts', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watchglass-front-config-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const name of ['nginx', 'haproxy', 'caddy'] as const satisfies readonly RealFrontName[]) {
    it(`are accepted by ${name}, without a warning`, { skip: missingFront(name) ?? false }, async () => {
      const { status, said } = await checkFront(name, { folder, ...selfSigned() });
      assert.equal(status, 0, said);
      assert.doesNotMatch(said, /\bwarn|WARNING|ALERT/, said);
    });
  }

  it('say nothing to Envoy that its API doesn’t know', async () => {
    const config: unknown = parse(await readFile(join(deployed, 'envoy/envoy.yaml'), 'utf8'));
    const api = new EnvoyApi();
    assert.deepEqual(api.faults('envoy.config.bootstrap.v3.Bootstrap', config), []);
    // That it would say so, in each way that a configuration can be wrong.
    const socket = { name: 'a', typed_config: { '@type': 'type.googleapis.com/envoy.none' } };
    const one = (cluster: object): object => ({ static_resources: { clusters: [cluster] } });
    const at = 'static_resources.clusters.0';
    for (const [wrong, fault] of [
      [{ node: { idd: 'a' } }, 'node: no idd in Node'],
      [{ node: { id: 5 } }, 'node.id: expected a string'],
      [{ static_resources: { clusters: { name: 'a' } } }, 'static_resources.clusters: expected a list'],
      [one({ connect_timeout: '5' }), `${at}.connect_timeout: expected a duration`],
      [one({ type: 'STATIK' }), `${at}.type: STATIK is no DiscoveryType`],
      [one({ transport_socket: socket }), `${at}.transport_socket.typed_config: no such type envoy.none`],
      [
        { admin: { address: { pipe: { path: 'a' }, socket_address: {} } } },
        'admin.address: pipe and socket_address exclude each other',
      ],
    ] as const)
      assert.deepEqual(api.faults('envoy.config.bootstrap.v3.Bootstrap', wrong), [fault]);
  });

  it('fail closed in Envoy, and have it ask where the gateway answers', async () => {
    const text = await readFile(join(deployed, 'envoy/envoy.yaml'), 'utf8');
    const { static_resources: resources } = parse(text);
    const manager = resources.listeners[0].filter_chains[0].filters[0].typed_config;
    const [authz, router] = manager.http_filters;
    assert.equal(authz.typed_config.failure_mode_allow, false);
    assert.equal(authz.typed_config.encode_raw_headers, true);
    assert.match(router.typed_config['@type'], /\.Router$/);
    assert.equal(manager.common_http_protocol_options.headers_with_underscores_action, 'REJECT_REQUEST');
    const asked = authz.typed_config.grpc_service.envoy_grpc.cluster_name;
    assert.equal(manager.access_log[0].typed_config.common_config.grpc_service.envoy_grpc.cluster_name, asked);
    assert.ok(resources.clusters.some(({ name }: { name: string }) => name === asked));
  });

  it('have Traefik strip, ask and clean in this order, by the names of its other half', async () => {
    const { http } = parse(await readFile(join(deployed, 'traefik/dynamic.yml'), 'utf8'));
    const still = parse(await readFile(join(deployed, 'traefik/traefik.yml'), 'utf8'));
    const { router, middlewares, services } = { router: http.routers.api, ...http };
    assert.deepEqual(router.middlewares, ['watchglass-strip', 'watchglass-ask', 'watchglass-clean']);
    assert.deepEqual(Object.keys(middlewares), router.middlewares);
    assert.ok(router.service in services);
    assert.ok(router.entryPoints.every((name: string) => name in still.entryPoints));
    const { forwardAuth } = middlewares['watchglass-ask'];
    assert.equal(new URL(forwardAuth.address).pathname, authzPaths.forward);
    assert.equal(forwardAuth.trustForwardHeader, false);
    assert.ok((await readFile(join(deployed, 'traefik/traefik.yml'), 'utf8')).includes(outcomesPath));
    assert.equal(still.accessLog.fields.headers.names['X-Audit-Id'], 'keep');
    assert.equal(still.accessLog.fields.defaultMode, 'drop');
  });
});
