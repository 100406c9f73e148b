/** The pages of a search through a whole gateway, of an upstream that knows a page by a token alone, and calls itself by another name. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import type { Event } from '@watchglass/record';

import {
  eventsOf,
  eventsUpTo,
  type Fetched,
  type Listening,
  observation,
  type Road,
  sendJson,
  serve,
  startRoad,
} from './gateway.fixture.ts';

const policy = `
version: 1
roles:
  physician:
    allow:
      - {interactions: [read, search, history], types: ['*']}
      - {operations: [$everything], types: [Patient]}
      - {interactions: [batch]}
  clerk:
    allow:
      - {interactions: [search], types: [Encounter]}
`;

interface Link {
  readonly relation: string;
  readonly url: unknown;
}

let road: Road;
let bundle: Record<string, unknown>;
let headers: Record<string, string>;

const opaque = '/fhir?_getpages=c0ffee&_getpagesoffset=20&_bundletype=searchset';
const of = (...link: Link[]): Record<string, unknown> => ({
  resourceType: 'Bundle',
  type: 'searchset',
  link,
  entry: [{ resource: observation('o-1', 'p-1') }],
});
const here = (): string => `http://127.0.0.1:${road.gateway.port}`;
const next = (url: unknown): Link => ({ relation: 'next', url });
const self = (url: unknown): Link => ({ relation: 'self', url });

before(async () => {
  road = await startRoad({
    policy,
    upstream: (_request, response) => sendJson(response, 200, bundle, headers),
  });
});
after(() => road.close());
beforeEach(() => {
  bundle = of(next(`https://fhir.internal.example${opaque}`));
  headers = {};
});

const json = { 'content-type': 'application/fhir+json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

function linksIn({ json }: Pick<Fetched, 'json'>): Record<string, string> {
  return Object.fromEntries((json.link as Link[]).map(({ relation, url }) => [relation, String(url)]));
}

async function firstPage(path: string, options: Parameters<Road['fetch']>[1] = {}): Promise<string> {
  const answer = await road.fetch(path, options);
  assert.equal(answer.status, 200, answer.text);
  const url = String(linksIn(answer).next);
  assert.ok(url.startsWith(here()), url);
  return url.slice(here().length);
}

async function lastEvent(): Promise<Event> {
  return (await eventsOf(road)).at(-1) as Event;
}

async function refused(path: string, reason: string, options: Parameters<Road['fetch']>[1] = {}): Promise<Fetched> {
  const asked = road.asked.length;
  const answer = await road.fetch(path, options);
  assert.equal(road.asked.length, asked, `${path} was asked for`);
  assert.equal((await lastEvent()).outcome.reason, reason);
  return answer;
}

describe('a page', () => {
  it('is followed through the gateway, as the search that it continues', async () => {
    const path = await firstPage('/fhir/Observation?patient=p-1&category=lab');
    for (const secret of ['p-1', 'lab', 'c0ffee', 'internal']) assert.equal(path.includes(secret), false, secret);
    const second = await road.fetch(path);
    assert.equal(second.status, 200);
    assert.equal(road.asked.at(-1)?.target, opaque);
    const event = await lastEvent();
    assert.deepEqual([event.operation, event.request?.route], ['search-type', '/fhir/Observation']);
    assert.deepEqual(event.request?.query?.slice(0, 3), ['patient', 'category', '_getpages']);
    assert.ok(event.targets?.some(({ type, role }) => type === 'Bundle' && role === 'page'));
    assert.deepEqual(
      event.exposure?.patients?.map(({ id }) => id),
      ['p-1'],
    );
    // And so on, for as long as there are pages.
    assert.equal((await road.fetch(String(linksIn(second).next).slice(here().length))).status, 200);
  });

  it('keeps to the patient of the token, like the search', async () => {
    const token = await road.issuer.mint({ scope: 'patient/*.rs', patient: 'p-1' });
    const path = await firstPage('/fhir/Observation?patient=p-1', { token });
    assert.equal((await road.fetch(path, { token })).status, 200);
    bundle = of();
    (bundle.entry as object[]).push({ resource: observation('o-2', 'p-2') });
    assert.equal((await road.fetch(path, { token })).status, 403);
    assert.equal((await lastEvent()).outcome.reason, 'response-other-patient');
    bundle = of(next(opaque));
    // Somebody else's search of everybody is not their page, whatever became of their token.
    const all = await firstPage('/fhir/Observation?code=x');
    await refused(all, 'patient-scope-search', { token });
  });

  it('is judged by what holds now, not by what held then', async () => {
    const path = await firstPage('/fhir/Observation?code=x');
    const narrow = await road.issuer.mint({ scope: 'user/Patient.rs' });
    assert.equal((await refused(path, 'scope', { token: narrow })).status, 403);
    const clerk = await road.issuer.mint({ roles: ['clerk'] });
    await refused(path, 'policy', { token: clerk });
    await refused(path, 'token-missing', { token: null });
    const restricted = await road.issuer.mint({ scope: 'user/Observation.rs?category=lab' });
    await refused(path, 'scope', { token: restricted });
    const lab = await firstPage('/fhir/Observation?category=lab', { token: restricted });
    assert.equal((await road.fetch(lab, { token: restricted })).status, 200);
  });

  it('is for who got it, and for that search', async () => {
    const path = await firstPage('/fhir/Observation?patient=p-1');
    const other = await road.issuer.mint({ sub: 'person-2' });
    assert.equal((await refused(path, 'page-of-another', { token: other })).status, 403);
    await refused(path.replace('Observation', 'Condition'), 'page-unreadable');
    await refused(path.replace('Observation', 'Patient/p-1/Observation'), 'page-unreadable');
  });

  it('that was changed, added to, or asked for in another way is refused', async () => {
    const path = await firstPage('/fhir/Observation?patient=p-1');
    const at = path.indexOf('=') + 1;
    for (let position = at; position < path.length; position += 17) {
      const changed = path[position] === 'A' ? 'B' : 'A';
      const reason = position === at ? 'page-of-another-key' : 'page-unreadable';
      const { json: said } = await refused(path.slice(0, position) + changed + path.slice(position + 1), reason);
      // The first characters name the key.
      assert.equal(String(said.detail).includes('exports.keyFile'), position === at);
    }
    for (const more of ['&patient=p-2', '&_include=x', '&_format=xml', `&${path.split('?')[1]}`])
      await refused(path + more, 'page-unreadable');
    await refused(path, 'page-unreadable', { method: 'DELETE' });
    await refused(path, 'page-unreadable', { method: 'PUT', headers: json, body: '{}' });
    await refused('/fhir/Observation/_search', 'page-unsealed', {
      method: 'POST',
      headers: form,
      body: path.split('?')[1] ?? '',
    });
    const entry = [{ request: { method: 'GET', url: path.slice('/fhir/'.length) } }];
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry });
    await refused('/fhir', 'page-unsealed', { method: 'POST', headers: json, body });
    // What clients add to any link changes nothing.
    assert.equal((await road.fetch(`${path}&_count=1000&_format=json`)).status, 200);
    assert.equal(road.asked.at(-1)?.target, opaque);
    assert.equal((await road.fetch(path, { method: 'HEAD' })).status, 200);
  });

  it('without our seal is refused where nothing tells which search it continues', async () => {
    for (const path of [opaque, '/fhir/Observation?_cursor=x', '/fhir/Patient?patient=p-1&ct=abc', '/fhir?_GetPages=x'])
      assert.equal((await refused(path, 'page-unsealed')).status, 403, path);
    await refused('/fhir/Observation/_search', 'page-unsealed', { method: 'POST', headers: form, body: '_getpages=x' });
  });

  it('of what was searched for by POST is not said in a URL', async () => {
    bundle = of(
      self('http://upstream.example/fhir/Patient?name=Zeffirelli'),
      next('http://upstream.example/fhir/Patient?name=Zeffirelli&page=2'),
    );
    const answer = await road.fetch('/fhir/Patient/_search', {
      method: 'POST',
      headers: form,
      body: 'name=Zeffirelli',
    });
    assert.equal(answer.text.includes('Zeffirelli'), false);
    const links = linksIn(answer);
    assert.equal((await road.fetch(String(links.next).slice(here().length))).status, 200);
    assert.equal(road.asked.at(-1)?.target, '/fhir/Patient?name=Zeffirelli&page=2');
    assert.equal((await road.fetch(String(links.self).slice(here().length))).status, 200);
    assert.equal(road.asked.at(-1)?.target, '/fhir/Patient?name=Zeffirelli');
  });
});

describe('the links of a Bundle', () => {
  it('lead through the gateway, whatever the upstream calls itself, and nothing else of it changes', async () => {
    const port = new URL(here()).port;
    for (const [url, target] of [
      ['?page=2', '/fhir/Observation?page=2'],
      ['/page/xyz', '/page/xyz'],
      ['Observation?page=2', '/fhir/Observation?page=2'],
      ['https://elsewhere.example/fhir/Observation?page=2', '/fhir/Observation?page=2'],
      [`http://127.0.0.1:${port}/fhir/Observation?page=2`, '/fhir/Observation?page=2'],
      ['http://elsewhere.example/fhir/_snapshot?id=1', '/fhir/_snapshot?id=1'],
      ['Bundle/page-2', '/fhir/Bundle/page-2'],
      ['?x=a;b', '/fhir/Observation?x=a;b'],
    ] as const) {
      bundle = of(next(url));
      assert.equal((await road.fetch(await firstPage('/fhir/Observation?patient=p-1'))).status, 200, url);
      assert.equal(road.asked.at(-1)?.target, target, url);
    }
  });

  it('keep their place and every other byte', async () => {
    const text = `{"resourceType":"Bundle", "total":1.50,"entry":[{"resource":{"resourceType":"Basic","link":[{"url":"x"}],"v":1.00}}],"link":[ {"relation":"next","url":"?a=1","extension":[]} ,{"relation":"license","url":"https://l.example"}]}`;
    await using raw = await startRoad({
      policy,
      upstream: (_request, response) =>
        response.writeHead(200, { ...json, etag: 'W/"1"', link: '<?a=1>; rel=next' }).end(text),
    });
    const answer = await raw.fetch('/fhir/Basic?code=x');
    const changed = /"url":"(http[^"]+_sealed-page=[^"]+)"/.exec(answer.text)?.[1] ?? '';
    assert.equal(answer.text, text.replace('?a=1', changed));
    assert.deepEqual([answer.headers.etag, answer.headers.link], [undefined, undefined]);
  });

  it('that lead elsewhere, or to something else, end in 502', async () => {
    for (const url of [
      'https://elsewhere.example/other?page=2',
      'ftp://upstream/fhir/Observation',
      '//elsewhere.example/page',
      '/fhir/Condition?page=2',
      `?x=${'y'.repeat(7_000)}`,
    ]) {
      bundle = of(next(url));
      assert.equal((await road.fetch('/fhir/Observation?patient=p-1')).status, 502, url);
      assert.equal((await lastEvent()).outcome.reason, 'upstream-invalid');
    }
  });

  it('are not passed on from what a client may read otherwise than the gateway does', async () => {
    const good = '"link":[{"relation":"next","url":"?page=2"}]';
    const evil = '"link":[{"relation":"next","url":"https://elsewhere.example/other"}]';
    const many = Array.from({ length: 130 }, (_, n) => `"_x${n}":1`).join(',');
    const late = Array.from({ length: 4_000 }, (_, n) => JSON.stringify(observation(`o-${n}`, 'p-1'))).join(',');
    const entry = { request: { method: 'GET', url: 'Observation?patient=p-1' } };
    const batch = JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: [entry] });
    const inBatch = (inside: string, rest = ''): string =>
      `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle",${evil}}${inside}}]${rest}}`;
    let answer = { status: 200, text: '' };
    await using raw = await startRoad({
      policy,
      config: { exposure: { maxBytes: 16_384 } },
      upstream: (_request, response) => response.writeHead(answer.status, json).end(answer.text),
    });
    for (const [text, status] of [
      [`{"resourceType":"Bundle",${good},${evil}}`, 200],
      [`{"resourceType":"Bundle",${good},"l\\u0069nk":${evil.slice(7)}}`, 200],
      [`{"resourceType":"Bundle",${many},${evil}}`, 200],
      [`{"resourceType":"Bundle","${'n'.repeat(300)}":1,${evil}}`, 200],
      [`{"resourceType":"Bundle",${evil}}`, 203],
      [`{"resourceType":"Bundle",${evil}}`, 206],
    ] as const) {
      answer = { status, text };
      assert.equal((await raw.fetch('/fhir/Observation?patient=p-1')).status, 502, text.slice(0, 200));
    }
    for (const text of [inBatch('', ',"id":"a","id":"b"'), inBatch(`,"resource":{${evil}}`)]) {
      answer = { status: 200, text };
      assert.equal((await raw.fetch('/fhir', { method: 'POST', headers: json, body: batch })).status, 502, text);
    }
    // Where it is found out too late it ends there.
    answer = { status: 200, text: `{"resourceType":"Bundle",${good},"entry":[${late}],${evil}}` };
    await assert.rejects(raw.fetch('/fhir/Observation?patient=p-1'));
    const end = (await eventsUpTo(raw, 12)).at(-1);
    assert.deepEqual([end?.outcome.reason, end?.exposure?.truncated], ['stream-cut-off', true]);
  });

  it('are not passed on in what is compressed, though nobody asked for that, and too large to open', async () => {
    const entry = Array.from({ length: 4_000 }, (_, n) => ({ resource: observation(`o-${n}`, `p-${n % 7}`) }));
    const small = of(next('?page=2'));
    let answer = Buffer.alloc(0);
    await using raw = await startRoad({
      policy,
      config: { exposure: { maxBytes: 16_384 } },
      upstream: (_request, response) => response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(answer),
    });
    for (const [bundle, level, status] of [
      [small, 9, 200],
      // Opened it is too large, and packed as well.
      [{ ...small, entry }, 9, 502],
      [{ ...small, entry }, 0, 502],
    ] as const) {
      answer = gzipSync(JSON.stringify(bundle), { level });
      const got = await raw.fetch('/fhir/Observation?patient=p-1');
      assert.equal(got.status, status);
      assert.equal(got.text.includes('?page=2'), false);
    }
  });

  it('that are nested deeper than anybody can write end in 502, and are no fault of the gateway', async () => {
    const deep = `${'['.repeat(15_000)}${']'.repeat(15_000)}`;
    const text = `{"resourceType":"Bundle","link":[{"relation":"next","url":"?page=2","extension":${deep}}]}`;
    await using raw = await startRoad({
      policy,
      upstream: (_request, response) => response.writeHead(200, json).end(text),
    });
    assert.equal((await raw.fetch('/fhir/Observation?patient=p-1')).status, 502);
    assert.equal((await eventsOf(raw)).at(-1)?.outcome.reason, 'upstream-invalid');
  });

  it('are sealed in a redirect, too, and one that leads elsewhere is 502', async () => {
    let location = '';
    await using raw = await startRoad({
      policy,
      upstream: (request, response) =>
        request.method === 'POST' ? response.writeHead(303, { location }).end() : sendJson(response, 200, of()),
    });
    const search = { method: 'POST', headers: form, body: 'name=Zeffirelli' };
    location = 'https://fhir.internal.example/fhir/Patient?name=Zeffirelli';
    const answer = await raw.fetch('/fhir/Patient/_search', search);
    const to = new URL(String(answer.headers.location));
    assert.deepEqual([answer.status, to.origin, to.href.includes('Zeffirelli')], [303, raw.gateway.url, false]);
    assert.equal((await raw.fetch(to.pathname + to.search)).status, 200);
    assert.equal(raw.asked.at(-1)?.target, '/fhir/Patient?name=Zeffirelli');
    for (location of ['https://elsewhere.example/other', 'javascript:0', '/fhir/Condition?name=x'])
      assert.equal((await raw.fetch('/fhir/Patient/_search', search)).status, 502, location);
  });

  it('to itself may be longer than a URL after a search by POST: it names the path then', async () => {
    const query = `code=${'x'.repeat(9_000)}`;
    bundle = of(self(`https://fhir.internal.example/fhir/Observation?${query}`), next(opaque));
    const answer = await road.fetch('/fhir/Observation/_search', { method: 'POST', headers: form, body: query });
    assert.equal(answer.status, 200);
    assert.equal(linksIn(answer).self, `${here()}/fhir/Observation`);
    assert.equal((await road.fetch(String(linksIn(answer).next).slice(here().length))).status, 200);
  });

  it('to itself says what the client itself put into the URL, and no more', async () => {
    bundle = of(self('https://fhir.internal.example/fhir/Observation?patient=p-1&_count=10'));
    const answer = await road.fetch('/fhir/Observation?patient=p-1');
    assert.equal(linksIn(answer).self, `${here()}/fhir/Observation?patient=p-1&_count=10`);
    bundle = of(self('/fhir/Observation?patient=p-1'), next('?page=2'));
    const second = await road.fetch(await firstPage('/fhir/Observation?patient=p-1'));
    assert.equal(second.text.includes('patient=p-1'), false);
    // What it says of itself stops nobody.
    bundle = of(self('https://elsewhere.example/other?patient=p-1'));
    assert.equal(linksIn(await road.fetch('/fhir/Observation?patient=p-1')).self, `${here()}/fhir/Observation`);
  });

  it('in the entries of a batch, of a history and of an operation are sealed as well', async () => {
    bundle = of(next(opaque));
    for (const path of ['/fhir/Patient/p-1/_history', '/fhir/Patient/p-1/$everything', '/fhir/Patient/p-1/Observation'])
      assert.equal((await road.fetch(await firstPage(path))).status, 200, path);
    bundle = {
      resourceType: 'Bundle',
      type: 'batch-response',
      entry: [
        { resource: { resourceType: 'Patient', id: 'p-1', link: [{ type: 'seealso' }] }, response: { status: '200' } },
        { resource: of(next(opaque)), response: { status: '200' } },
      ],
    };
    const urls = ['Patient/p-1', 'Observation?patient=p-1'];
    const body = {
      resourceType: 'Bundle',
      type: 'batch',
      entry: urls.map((url) => ({ request: { method: 'GET', url } })),
    };
    const answer = await road.fetch('/fhir', { method: 'POST', headers: json, body: JSON.stringify(body) });
    const entries = answer.json.entry as { resource: Record<string, unknown> }[];
    assert.deepEqual(entries[0]?.resource.link, [{ type: 'seealso' }]);
    const url = String(linksIn({ json: entries[1]?.resource ?? {} }).next);
    bundle = of();
    assert.equal((await road.fetch(url.slice(here().length))).status, 200);
    assert.deepEqual([road.asked.at(-1)?.target, (await lastEvent()).operation], [opaque, 'search-type']);
  });
});

describe('the answer to a batch that changed something', () => {
  it('is heard, without the link that leads elsewhere', async () => {
    await using made = await startRoad({
      policy: policy.replace('read,', 'read, create,'),
      upstream: (_q, r) => sendJson(r, 200, bundle),
    });
    const found = { resource: of(next('https://elsewhere.example/other')), response: { status: '200' } };
    bundle = { resourceType: 'Bundle', entry: [{ response: { status: '201' } }, found] };
    const post = { resource: observation('o-1', 'p-1'), request: { method: 'POST', url: 'Observation' } };
    const entry = [post, { request: { method: 'GET', url: 'Observation?patient=p-1' } }];
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
    const answer = await made.fetch('/fhir', { method: 'POST', headers: json, body });
    assert.deepEqual([answer.status, answer.text.includes('elsewhere')], [200, false]);
    assert.equal((await eventsOf(made)).at(-1)?.outcome.status, 'success');
  });
});

describe('a Bundle too large to hold', () => {
  // More than comes at once from a socket.
  const entriesCount = 4_000;
  const large = async (text: string): Promise<{ of: Road; answer: Promise<Fetched> }> => {
    const made = await startRoad({
      policy,
      config: { exposure: { maxBytes: 4_096 } },
      upstream(request, response) {
        if (request.url?.includes('_getpages') === true) return sendJson(response, 200, of());
        response.writeHead(200, { ...json, 'content-length': Buffer.byteLength(text) });
        response.end(text);
      },
    });
    return { of: made, answer: made.fetch('/fhir/Observation?patient=p-1') };
  };
  const entry = Array.from({ length: entriesCount }, (_, n) => ({ resource: observation(`o-${n}`, 'p-1') }));
  const link = [next(`http://x.example${opaque}`)];

  it('has its links where they stand, at its beginning or its end', async () => {
    for (const members of [
      { link, entry },
      { entry, link },
    ]) {
      const text = JSON.stringify({ resourceType: 'Bundle', ...members });
      const made = await large(text);
      const { json } = await made.answer;
      assert.equal((json.entry as object[]).length, entriesCount);
      const url = new URL(String(linksIn({ json }).next));
      assert.equal((await made.of.fetch(url.pathname + url.search)).status, 200);
      assert.equal(made.of.asked.at(-1)?.target, opaque);
      const end = (await eventsOf(made.of)).find(({ outcome }) => outcome.reason === 'streamed');
      const left = text.length + url.href.length - `http://x.example${opaque}`.length;
      assert.equal(end?.exposure?.bytes, left);
      await made.of.close();
    }
  });

  it('is cut off where a link at its end leads elsewhere, and refused where one at its beginning does', async () => {
    const elsewhere = [next('https://elsewhere.example/other')];
    const late = await large(JSON.stringify({ resourceType: 'Bundle', entry, link: elsewhere }));
    await assert.rejects(late.answer);
    await late.of.close();
    const early = await large(JSON.stringify({ resourceType: 'Bundle', link: elsewhere, entry }));
    assert.equal((await early.answer).status, 502);
    await early.of.close();
  });
});

describe('a link that is too old', () => {
  it('is refused, and says to begin again', async () => {
    await using made = await startRoad({
      policy,
      adjust: (config) => ({ ...config, paging: { ...config.paging, validMs: -5_000 } }),
      upstream: (_request, response) => sendJson(response, 200, of(next(opaque))),
    });
    const { json } = await made.fetch('/fhir/Observation?patient=p-1');
    const url = new URL(String(linksIn({ json }).next));
    assert.equal((await made.fetch(url.pathname + url.search)).status, 410);
    const [, event] = await eventsOf(made);
    assert.deepEqual([event?.operation, event?.outcome.reason], ['search-type', 'page-expired']);
  });
});

describe('a page of one of several origins', () => {
  it('is asked of the one that gave it, and of another while that is away', async () => {
    const asked: string[] = [];
    const replica = (name: string): Promise<Listening> =>
      serve((request, response) => {
        asked.push(name);
        if (name === 'b' && down) request.socket.destroy();
        else sendJson(response, 200, of(next(opaque)));
      });
    let down = false;
    const [a, b] = await Promise.all([replica('a'), replica('b')]);
    await using made = await startRoad({
      policy,
      config: { upstream: { url: a.url, replicas: [b.url] } },
    });
    const pageOf = async (): Promise<string> => {
      const { json } = await made.fetch('/fhir/Observation?patient=p-1');
      const url = new URL(String(linksIn({ json }).next));
      return url.pathname + url.search;
    };
    for (const _ of [1, 2, 3]) {
      const path = await pageOf();
      const giver = asked.at(-1);
      assert.equal((await made.fetch(path)).status, 200);
      assert.equal(asked.at(-1), giver);
    }
    let path = await pageOf();
    while (asked.at(-1) !== 'b') path = await pageOf();
    down = true;
    assert.equal((await made.fetch(path)).status, 200);
    assert.equal(asked.at(-1), 'a');
    await a.close();
    await b.close();
  });
});
