/** Addresses in Bundles through a whole gateway: of an API that says its own wherever FHIR has a place for one, none reaches a client, and what resources say stays as it came. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { eventsOf, observation, type Road, sendJson, startRoad } from './gateway.fixture.ts';

const policy = `
version: 1
roles:
  physician:
    allow:
      - {interactions: [read, search, history, create], types: ['*']}
      - {operations: [$everything, $find], types: [Patient]}
      - {interactions: [batch]}
`;
const json = { 'content-type': 'application/fhir+json' };

/** `say` writes the answer, knowing what the API calls itself. */
async function start(
  context: TestContext,
  say: (own: string) => object | string,
  config: Record<string, unknown> = {},
): Promise<{ road: Road; own: string; here: string }> {
  let own = '';
  const road = await startRoad({
    policy,
    config,
    upstream(request, response) {
      own = `http://${request.headers.host}/fhir`;
      const said = say(own);
      if (request.url?.includes('_getpages') === true) sendJson(response, 200, { resourceType: 'Bundle' });
      else sendJson(response, 200, typeof said === 'string' ? JSON.parse(said) : said);
    },
  });
  context.after(() => road.close());
  const here = `http://127.0.0.1:${road.gateway.port}/fhir`;
  await road.fetch('/fhir/Patient/p-1');
  return { road, own, here };
}

const entryOf = (base: string, id: string): object => ({
  fullUrl: `${base}/Observation/${id}`,
  resource: observation(id, 'p-1'),
  request: { method: 'PUT', url: `${base}/Observation/${id}` },
  response: { status: '200', location: `${base}/Observation/${id}/_history/1` },
});

describe('the addresses of a Bundle', () => {
  it('are the gateway’s where they were the API’s, and others stay', async (context) => {
    const foreign = ['urn:uuid:6f1c', 'https://other.example/fhir/Observation/9'].map((fullUrl) => ({ fullUrl }));
    const { road, own, here } = await start(context, (base) => ({
      resourceType: 'Bundle',
      entry: [entryOf(base, 'o-1'), entryOf(base, 'o-2'), ...foreign],
    }));
    for (const path of [
      '/fhir/Observation?patient=p-1',
      '/fhir/Observation/o-1/_history',
      '/fhir/Patient/p-1/$everything',
    ]) {
      const answer = await road.fetch(path);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.text.includes(own), false, path);
      assert.deepEqual(answer.json.entry, [entryOf(here, 'o-1'), entryOf(here, 'o-2'), ...foreign]);
      const event = (await eventsOf(road)).at(-1);
      assert.equal(event?.exposure?.bytes, Buffer.byteLength(answer.text));
    }
  });

  it('are not there in the answer to HEAD, which says nothing of bytes that would be others', async (context) => {
    const road = await startRoad({
      policy,
      upstream: (_request, response) => sendJson(response, 200, { resourceType: 'Bundle' }, { etag: 'W/"1"' }),
    });
    context.after(() => road.close());
    const searched = await road.fetch('/fhir/Observation?patient=p-1', { method: 'HEAD' });
    assert.equal(searched.status, 200);
    assert.deepEqual([searched.headers.etag, searched.headers['content-length']], [undefined, undefined]);
    const read = await road.fetch('/fhir/Observation/o-1', { method: 'HEAD' });
    assert.equal(read.headers.etag, 'W/"1"');
  });

  it('stay in a resource, which has to be what the API knows when it comes back', async (context) => {
    const note = (base: string): object => ({
      ...observation('o-1', 'p-1'),
      derivedFrom: [{ reference: `${base}/Observation/o-0` }],
    });
    const { road, own } = await start(context, (base) => ({
      resourceType: 'Bundle',
      entry: [{ fullUrl: `${base}/Observation/o-1`, resource: note(base) }],
    }));
    const { json: found } = await road.fetch('/fhir/Observation?patient=p-1');
    assert.deepEqual((found.entry as { resource: object }[])[0]?.resource, note(own));
  });

  it('are known by whom they name before they are moved', async (context) => {
    // Neither address says that it is a patient's: only that both are the same.
    const { road } = await start(context, (base) => ({
      resourceType: 'Bundle',
      entry: [
        { fullUrl: `${base}/x/77`, resource: { resourceType: 'Patient', id: 'p-7' } },
        { resource: { ...observation('o-1', 'p-1'), subject: { reference: `${base}/x/77` } } },
      ],
    }));
    const answer = await road.fetch('/fhir/Observation?code=x');
    assert.equal(answer.status, 200);
    const exposed = (await eventsOf(road)).at(-1)?.exposure?.patients?.find(({ id }) => id === 'p-7');
    assert.equal(exposed?.count, 2);
  });

  it('of Bundles inside of Parameters and of entries are plain ways to ask, which are judged by themselves, or lead nowhere', async (context) => {
    const inner = (base: string): object => ({
      resourceType: 'Bundle',
      link: [
        { relation: 'next', url: `${base}?_getpages=inner` },
        { relation: 'prev', url: `${base}/Observation?patient=p-1&page=1` },
        { relation: 'first', url: '/admin/secrets' },
        { relation: 'last', url: `${base}/../admin` },
        { relation: 'license', url: 'https://license.example' },
      ],
      entry: [entryOf(base, 'o-1')],
    });
    const { road, own, here } = await start(context, (base) => ({
      resourceType: 'Parameters',
      parameter: [
        { name: 'found', part: [{ name: 'page', resource: inner(base) }] },
        { name: 'at', valueUri: base },
      ],
    }));
    const answer = await road.fetch('/fhir/Patient/p-1/$everything');
    const [found, at] = answer.json.parameter as [
      { part: [{ resource: Record<string, unknown> }] },
      { valueUri: string },
    ];
    // A parameter's value is what the operation says.
    assert.equal(at.valueUri, own);
    const { link, entry } = found.part[0].resource;
    assert.deepEqual(entry, [entryOf(here, 'o-1')]);
    assert.deepEqual(link, [
      { relation: 'next' },
      { relation: 'prev', url: `${here}/Observation?patient=p-1&page=1` },
      { relation: 'first' },
      { relation: 'last' },
      { relation: 'license', url: 'https://license.example' },
    ]);
    const nurse = await road.issuer.mint({ scope: 'user/Patient.rs' });
    assert.equal((await road.fetch('/fhir/Observation?patient=p-1&page=1', { token: nurse })).status, 403);
  });

  it('that somebody wrote into a resource are no way around the policy', async (context) => {
    const planted = (url: string): object => ({
      resourceType: 'Bundle',
      type: 'document',
      link: [{ relation: 'next', url }],
    });
    let url = '';
    let whole = false;
    const { road, here } = await start(context, (base) => {
      const found = planted(url.replace('BASE', base));
      return whole
        ? found
        : { resourceType: 'Bundle', entry: [{ resource: found, link: [{ relation: 'next', url }] }] };
    });
    for (url of ['BASE?_getpages=of-another', '/admin/all', '?_getpages=x', 'BASE/Patient?_page_token=x']) {
      const { text } = await road.fetch('/fhir/Bundle?type=document');
      assert.equal(text.includes('_sealed-page'), false, url);
      assert.equal(text.includes('admin'), false, url);
    }
    url = 'BASE/Bundle/b-2';
    assert.ok((await road.fetch('/fhir/Bundle?type=document')).text.includes(`${here}/Bundle/b-2`));
    // What an operation gives as a whole goes on with nothing else.
    whole = true;
    for (url of ['/admin/all', 'BASE/Patient?_count=1000', 'BASE/Patient/p-2/$everything'])
      assert.equal((await road.fetch('/fhir/Patient/p-1/$everything')).status, 502, url);
    url = 'BASE/Patient/p-1/$everything?page=2';
    assert.equal((await road.fetch('/fhir/Patient/p-1/$everything')).status, 200);
  });

  it('lead nowhere in the answer to what can’t be asked for again', async (context) => {
    const { road, own } = await start(context, (base) => ({
      resourceType: 'Bundle',
      link: [{ relation: 'next', url: `${base}?_getpages=x` }],
      entry: [entryOf(base, 'o-1')],
    }));
    const answer = await road.fetch('/fhir/Patient/$find', {
      method: 'POST',
      headers: json,
      body: '{"resourceType":"Parameters"}',
    });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text.includes(own), false);
    assert.deepEqual(answer.json.link, [{ relation: 'next' }]);
  });

  it('are moved in what is too large to hold, a batch’s too, as they are in what is held', async (context) => {
    const entries = (base: string): object[] => Array.from({ length: 2_000 }, (_, n) => entryOf(base, `o-${n}`));
    const found = (base: string): object => ({
      resourceType: 'Bundle',
      link: [{ relation: 'next', url: `${base}?_getpages=x` }],
      entry: [entryOf(base, 'o-9')],
    });
    const { road, own, here } = await start(
      context,
      (base) => ({ resourceType: 'Bundle', entry: [{ resource: found(base) }, ...entries(base)] }),
      { exposure: { maxBytes: 4_096 } },
    );
    const search = await road.fetch('/fhir/Observation?patient=p-1');
    assert.equal(search.text.includes(own), false);
    assert.deepEqual((search.json.entry as object[]).slice(1), entries(here));
    const entry = [{ request: { method: 'GET', url: 'Observation?patient=p-1' } }];
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry });
    const batch = await road.fetch('/fhir', { method: 'POST', headers: json, body });
    assert.equal(batch.status, 200, batch.text.slice(0, 200));
    assert.equal(batch.text.includes(own), false);
    const [first] = batch.json.entry as { resource: { link: { url: string }[] } }[];
    const path = String(first?.resource.link[0]?.url).slice(here.length - '/fhir'.length);
    assert.match(path, /^\/fhir\/Observation\?_sealed-page=/);
    assert.equal((await road.fetch(path)).status, 200);
  });

  it('stay in a Bundle that is read by itself, whose signature is about them', async (context) => {
    const { road, own } = await start(context, (base) => ({
      resourceType: 'Bundle',
      id: 'b',
      entry: [entryOf(base, 'o-1')],
    }));
    assert.equal((await road.fetch('/fhir/Bundle/b')).text.includes(own), true);
  });
});
