/** `.well-known/smart-configuration` under the FHIR base: what is said, to whom, and what is left out. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { readSmart, type SmartSection } from './config/smart.ts';
import { type Road, type RoadOptions, startRoad } from './gateway.fixture.ts';
import { smartConfigurationOf } from './identity/smart-discovery.ts';

const path = '/fhir/.well-known/smart-configuration';

function metadataOf(issuer: string): Record<string, unknown> {
  return {
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
    scopes_supported: ['openid', 'fhirUser', 'launch/patient', 'patient/*.rs', 'offline_access'],
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256', 'plain'],
    userinfo_endpoint: `${issuer}/me`,
  };
}

async function start(context: TestContext, options: RoadOptions = {}): Promise<Road> {
  const road = await startRoad(options);
  context.after(() => road.close());
  Object.assign(road.issuer.metadata, metadataOf(road.issuer.issuer));
  return road;
}

describe('the SMART configuration', () => {
  it('is given to anybody, scripts of other pages too, and names the issuer’s own endpoints', async (context) => {
    const road = await start(context);
    const { status, json, headers } = await road.fetch(path, { token: null });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.equal(headers['cache-control'], 'public, max-age=300');
    assert.deepEqual(json, {
      issuer: road.issuer.issuer,
      jwks_uri: `${road.issuer.issuer}/jwks`,
      authorization_endpoint: `${road.issuer.issuer}/auth`,
      token_endpoint: `${road.issuer.issuer}/token`,
      token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
      scopes_supported: ['openid', 'fhirUser', 'launch/patient', 'patient/*.rs', 'offline_access'],
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      capabilities: [
        'client-public',
        'client-confidential-asymmetric',
        'sso-openid-connect',
        'launch-standalone',
        'context-standalone-patient',
        'permission-offline',
        'permission-patient',
        'permission-user',
        'permission-v1',
        'permission-v2',
      ],
    });
    assert.equal(road.asked.length, 0);
    const event = (await road.settled()).at(-1);
    assert.deepEqual(
      [event?.operation, event?.outcome, event?.actor.id, event?.request?.route],
      ['smart-configuration', { status: 'success', code: 200 }, 'anonymous', '/fhir/{id}/smart-configuration'],
    );
  });

  it('answers HEAD and a preflight, and no other method', async (context) => {
    const road = await start(context);
    const head = await road.fetch(path, { method: 'HEAD', token: null });
    assert.deepEqual([head.status, head.text, Number(head.headers['content-length']) > 100], [200, '', true]);
    const preflight = await road.fetch(path, { method: 'OPTIONS', token: null });
    assert.deepEqual(
      [preflight.status, preflight.headers['access-control-allow-methods']],
      [204, 'GET, HEAD, OPTIONS'],
    );
    const post = await road.fetch(path, { method: 'POST', token: null, body: '{}' });
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD, OPTIONS']);
    assert.equal((await road.fetch('/.well-known/smart-configuration', { token: null })).status, 404);
  });

  it('is the gateway’s own whatever query is asked with it, and the API hears of none', async (context) => {
    const road = await start(context);
    for (const query of ['?', '?x=1', '?_format=json']) {
      const { status, json } = await road.fetch(`${path}${query}`, { token: null });
      assert.deepEqual([status, json.issuer], [200, road.issuer.issuer]);
    }
    const refused = await road.fetch(`${path}?a=%00`, { token: null });
    assert.equal(refused.status, 400);
    assert.equal(road.asked.length, 0);
  });

  it('is not there before the issuer could be asked, and stays when it is away', async (context) => {
    const road = await start(context);
    road.issuer.down.is = true;
    const early = await road.fetch(path, { token: null });
    assert.deepEqual([early.status, early.headers['retry-after']], [503, '2']);
    assert.equal((await road.settled()).at(-1)?.outcome.reason, 'issuer-unreachable');

    const later = await start(context);
    assert.equal((await later.fetch(path, { token: null })).status, 200);
    later.issuer.down.is = true;
    assert.equal((await later.fetch(path, { token: null })).status, 200);
  });

  it('names one of several issuers; where none is named, what the API says passes as it is', async (context) => {
    for (const named of [true, false]) {
      const road = await start(context, {
        adjust: (config) => {
          const [own] = config.issuers;
          assert.ok(own);
          const partner = { ...own, issuer: 'https://partner.example', actorPrefix: 'partner:' };
          const smart = { issuer: own.issuer, capabilities: ['launch-standalone'] };
          return { ...config, issuers: [own, partner], smart: named ? smart : undefined };
        },
      });
      const { json } = await road.fetch(path, { token: null });
      if (named) assert.deepEqual([json.issuer, json.capabilities], [road.issuer.issuer, ['launch-standalone']]);
      else assert.deepEqual([json.issuer, road.asked.map(({ target }) => target)], [undefined, [path]]);
    }
    const issuers = [{ issuer: 'https://a.example' }, { issuer: 'https://b.example' }];
    const read = (section: SmartSection) => readSmart(section, { issuers, file: 'gateway.yaml' });
    assert.equal(read({}), undefined);
    assert.equal(read({ issuer: 'https://b.example' })?.issuer, 'https://b.example');
    assert.throws(() => read({ issuer: 'https://c.example' }), { code: 'config-invalid' });
  });

  it('is not made of metadata of another issuer, of one without S256, or of addresses that are not safe', () => {
    const issuer = 'https://id.example';
    const good = { issuer, ...metadataOf(issuer), code_challenge_methods_supported: ['S256'] };
    const made = (more: object) => smartConfigurationOf({ ...good, ...more }, { issuer, capabilities: undefined });
    assert.equal(made({})?.token_endpoint, `${issuer}/token`);
    assert.equal(made({ issuer: 'https://evil.example' }), undefined);
    assert.equal(made({ code_challenge_methods_supported: ['plain'] }), undefined);
    assert.equal(made({ token_endpoint: 'http://id.example/token' }), undefined);
    assert.equal(made({ authorization_endpoint: 'javascript:alert(1)' })?.authorization_endpoint, undefined);
    assert.equal(smartConfigurationOf('no object', { issuer, capabilities: undefined }), undefined);
  });

  it('asked for without end makes a bounded number of events', async (context) => {
    const road = await start(context);
    for (let n = 0; n < 40; n++) assert.equal((await road.fetch(path, { token: null })).status, 200);
    const events = (await road.settled()).filter(({ operation }) => operation === 'smart-configuration');
    assert.equal(events.length, 20);
  });
});
