/** The same canaries through the doors that came later: exports and their files, maps, pages, forms, batches, fronts, consent, broken glass, and every way to be refused. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { request as ask } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { Aside } from './canary.fixture.ts';
import { canaries, map, policy } from './canary-doors.fixture.ts';
import { FrameWriter, frameTypes } from './fronts/spop-frames.ts';
import {
  type FetchOptions,
  type Listening,
  observation,
  type Road,
  sendJson,
  serve,
  startRoad,
} from './gateway.fixture.ts';

const json = { 'content-type': 'application/json' };
const fhir = { 'content-type': 'application/fhir+json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

const aside = new Aside(canaries);
const listening: Listening[] = [];
let road: Road;
let closed = false;
/** Spans, as a collector of traces gets them. */
let spans = '';
let socket: string;
let spop: string;

const send = async (path: string, options: FetchOptions = {}): Promise<string> => {
  const answer = await road.fetch(path, options);
  aside.answers.push(answer);
  return answer.text;
};
/** Below the gateway's own URL. */
const below = (url: unknown): string => String(url).slice(road.gateway.url.length);

before(async () => {
  const consent = await serve((_request, response) =>
    response.writeHead(500, canaries.consentError).end(`{"permit": "${canaries.consent}"}`),
  );
  const files = await serve((request, response) => {
    if (request.url?.startsWith('/gone') === true)
      response.writeHead(403, { 'x-why': canaries.storeError }).end(`<Error>${canaries.storeError}</Error>`);
    else response.writeHead(200, {}).end(gzipSync(patientLine(canaries.exportFile)));
  });
  const collector = await serve((request, response) => {
    request.setEncoding('utf8').on('data', (chunk: string) => {
      spans += chunk;
    });
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  listening.push(consent, files, collector);
  road = await startRoad({
    logger: aside.logger,
    policy: policy(consent.url),
    prepare: async (folder) => {
      socket = join(folder, 'authz.sock');
      spop = join(folder, 'spop.sock');
      await writeFile(join(folder, 'api.yaml'), map);
    },
    config: {
      url: 'http://gateway.example',
      admin: { host: '127.0.0.1', port: 0 },
      exposure: { maxBytes: 4_096 },
      exports: { origins: [files.url] },
      identity: { logoutPath: '/logout' },
      tracing: { endpoint: collector.url },
      fronts: { authz: { socket: 'authz.sock' }, spop: { socket: 'spop.sock' }, outcomes: { port: 0 } },
      rates: { rules: [{ name: 'flags', by: 'route', limit: 1, windowMs: 3_600_000, routes: ['/fhir/Flag'] }] },
      limits: { requestBytesMax: 65_536 },
      routes: [
        { prefix: '/fhir', kind: 'fhir' },
        { prefix: '/posted', kind: 'fhir', search: 'post' },
        { prefix: '/api', kind: 'json', map: 'api.yaml' },
      ],
    },
    adjust: (config) => ({ ...config, url: undefined }),
    upstream: (request, response, body) =>
      answer(request.url ?? '', { response, body, files: files.url, host: String(request.headers.host) }),
  });
  await throughEveryDoor();
  await aside.settle(road);
});
after(async () => {
  if (!closed) await road?.close();
  for (const one of listening) await one.close();
});

function patientLine(name: string): string {
  return `${JSON.stringify({ resourceType: 'Patient', id: 'p-1', name: [{ family: name }] })}\n`;
}

const searchset = (more: object): object => ({
  resourceType: 'Bundle',
  type: 'searchset',
  link: [{ relation: 'next', url: `?name=${canaries.pageLink}&page=2` }],
  entry: [{ resource: { ...observation('o-1', 'p-1'), note: [{ text: canaries.batchAnswer }] } }],
  ...more,
});

function answer(
  path: string,
  to: {
    readonly response: Parameters<typeof sendJson>[0];
    readonly body: string;
    readonly files: string;
    readonly host: string;
  },
): void {
  const { response, files, host } = to;
  if (path.includes('$export'))
    response.writeHead(202, { 'content-location': `http://${host}/jobs/7?key=${canaries.exportStatus}` }).end();
  else if (path.startsWith('/jobs/7')) {
    const elsewhere = path.includes('x')
      ? `https://${canaries.exportElsewhere}.example/f`
      : `${files}/gone?key=${canaries.exportStatus}`;
    const urls = [
      `${files}/a?signature=${canaries.exportStatus}`,
      `http://${host}/files/p?key=${canaries.exportStatus}`,
      elsewhere,
    ];
    sendJson(
      response,
      200,
      { transactionTime: 't', request: canaries.exportQuery, output: urls.map((url) => ({ type: 'Patient', url })) },
      json,
    );
  } else if (path.startsWith('/files/p'))
    response
      .writeHead(200, { 'content-type': 'application/fhir+ndjson' })
      .end(patientLine(canaries.exportFile).repeat(200));
  else if (path.startsWith('/api/'))
    sendJson(
      response,
      200,
      { name: canaries.mapAnswer, visits: [{ who: 'p-1' }, { who: `${canaries.mapAnswer}, ward 3` }] },
      json,
    );
  else if (path.includes('/Procedure')) sendJson(response, 200, largeBundle());
  else if (path.includes('/Condition') && to.body !== '')
    sendJson(response, 200, {
      ...observation('c-1', 'p-1'),
      resourceType: 'Condition',
      note: [{ text: canaries.existing }],
    });
  else if (path.includes('/Goal'))
    sendJson(response, 500, { resourceType: 'OperationOutcome', text: canaries.upstreamError });
  else if (/\/Patient\/[^/]+$/.test(path))
    sendJson(response, 200, { resourceType: 'Patient', id: 'p-1', name: [{ text: canaries.batchAnswer }] });
  else sendJson(response, 200, searchset({}));
}

/** Too large to hold; its link at the end leads elsewhere. */
function largeBundle(): object {
  const resource = { ...observation('o-1', 'p-1'), note: [{ text: canaries.largeBundle }] };
  return {
    resourceType: 'Bundle',
    entry: Array.from({ length: 2_000 }, () => ({ resource })),
    link: [{ relation: 'next', url: `https://${canaries.lateLink}.example/x` }],
  };
}

async function throughEveryDoor(): Promise<void> {
  await exports_();
  await maps();
  await pages();
  await batches();
  await names();
  await refusals();
  await glassAndConsent();
  await fronts();
}

async function exports_(): Promise<void> {
  await send(`/fhir/Patient/$export?_typeFilter=Patient%3Fname%3D${canaries.exportQuery}`, {
    headers: { prefer: 'respond-async' },
  });
  const status = below(aside.answers.at(-1)?.headers['content-location']);
  aside.find('the link to an export', status);
  await send(`${status}x`);
  await send(`${status}?name=${canaries.exportQuery}`);
  const manifest = await road.fetch(status);
  // What clients get of it is links, and nothing of the upstream's own.
  aside.find('the manifest', manifest.text);
  for (const { url } of manifest.json.output as { url: string }[]) await road.fetch(below(url));
  await road.fetch(status, { token: await road.issuer.mint({ sub: 'person-2' }) });
}

async function maps(): Promise<void> {
  await send(`/api/patients/${canaries.mapPath}_1`);
  await send(`/api/patients/p-1/${canaries.mapPath}`);
  await send(`/api/${canaries.mapPath}`, { method: 'DELETE' });
  await send(`/api/visits?who=${canaries.mapQuery}%20X&${canaries.mapQuery.toLowerCase().slice(0, 3)}=1`);
  for (const body of [
    JSON.stringify({ who: `${canaries.mapBody} X` }),
    `{"who":"${canaries.mapBody}`,
    `{"${canaries.mapBody}":1,"who":1,"who":2}`,
  ])
    await send('/api/visits', { method: 'POST', headers: json, body });
}

async function pages(): Promise<void> {
  const first = await road.fetch(`/fhir/Observation?subject.name=${canaries.pageQuery}`);
  const [next] = first.json.link as { url: string }[];
  aside.find('the link to a page', String(next?.url));
  const path = below(next?.url);
  await road.fetch(path);
  for (const wrong of [
    `${path}&name=${canaries.pageChanged}`,
    `${path}${canaries.pageChanged}`,
    `/fhir/Observation?_sealed-page=${canaries.pageChanged}`,
  ])
    await send(wrong);
  await send(`/fhir?_getpages=${canaries.pageChanged}`);
  await send(path, { token: await road.issuer.mint({ sub: 'person-2' }) });
  await send(path, { token: await road.issuer.mint({ scope: 'user/Flag.rs' }) });
  await road.fetch(`/fhir/Procedure?code=${canaries.pageQuery}`).catch(() => undefined);
}

async function batches(): Promise<void> {
  const search = (body: string): FetchOptions => ({ method: 'POST', headers: form, body });
  await road.fetch('/fhir/Observation/_search', search(`subject.name=${canaries.form}`));
  await send('/fhir/Observation/_search', search(`subject.name=${canaries.form};`));
  await send('/fhir/Observation/_search', search(`_getpages=${canaries.form}`));
  await send(`/fhir/Observation/_search?name=${canaries.form}`, { ...search(''), headers: json });
  const batch = (...entry: object[]): FetchOptions => ({
    method: 'POST',
    headers: fhir,
    body: JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry }),
  });
  const entry = (method: string, url: string, more: object = {}): object => ({ request: { method, url, ...more } });
  await road.fetch(
    '/fhir',
    batch(entry('GET', `Patient?name=${canaries.batchUrl}`), entry('GET', 'Observation?patient=p-1')),
  );
  await send('/fhir', batch(entry('GET', `Patient?name=${canaries.batchUrl};`)));
  await send('/fhir', batch(entry('GET', `Patient?_getpages=${canaries.batchUrl}`)));
  await send('/fhir', batch(entry(canaries.batchUrl, canaries.batchUrl)));
  await send(
    '/fhir',
    batch({
      ...entry('POST', 'Condition', { ifNoneExist: `name=${canaries.batchCondition}` }),
      resource: { resourceType: 'Condition', note: canaries.batchBody },
    }),
  );
  await send('/fhir', batch({ ...entry('POST', 'Condition'), resource: { resourceType: canaries.batchBody } }));
  const created = {
    method: 'POST',
    body: JSON.stringify({ ...observation('c', 'p-1'), resourceType: 'Condition', text: canaries.batchBody }),
  };
  await send('/fhir/Condition', { ...created, headers: { ...fhir, 'if-none-exist': `name=${canaries.condition}` } });
  await send('/fhir/Condition/c-1', {
    ...created,
    method: 'PUT',
    headers: { ...fhir, 'if-none-exist': canaries.condition },
  });
}

/** Whoever asks writes the names, too. */
async function names(): Promise<void> {
  const { queryName, chainName, formName, batchName, mapName, headerName, operationName } = canaries;
  for (const path of [
    `Observation?${queryName}`,
    `Observation?${queryName}=1`,
    `Observation?code:${queryName}=1`,
    `Observation?patient=p-1&${queryName}.${queryName}=1`,
    `Observation?subject:Patient.${chainName}=1`,
    `Observation?_has:Observation:patient:${chainName}=1`,
    `Patient/p-1/$everything?${queryName}`,
    `Patient/p-1/_history?${queryName}`,
    `Patient/p-1?${queryName}`,
    `Patient/$export?${queryName}`,
    `metadata?${queryName}`,
  ])
    await send(`/fhir/${path}`);
  const operation = `$${operationName.toLowerCase()}`;
  for (const path of [operation, `Patient/${operation}`, `Patient/p-1/${operation}`])
    for (const method of ['GET', 'POST', 'DELETE']) await send(`/fhir/${path}`, { method });
  await send(`/fhir/Patient/${operation}`, { token: null });
  await send(`/posted/Patient?${queryName}`);
  await send(`/fhir/Flag?${queryName}`);
  await send(`/fhir/Observation?${queryName}`, { token: await road.issuer.mint({ scope: 'user/Flag.rs' }) });
  await send(`/fhir/Observation?${queryName}`, { token: null });
  await send('/fhir/Observation/_search', { method: 'POST', headers: form, body: `${formName}&patient=p-1` });
  await send('/fhir/Condition', {
    method: 'POST',
    headers: { ...fhir, 'if-none-exist': `${headerName}=1`, [`x-${headerName}`]: '1', cookie: `${headerName}=1` },
    body: JSON.stringify({ ...observation('c', 'p-1'), resourceType: 'Condition' }),
  });
  const entry = [{ request: { method: 'GET', url: `Observation?patient=p-1&${batchName}` } }];
  const called = [{ request: { method: 'POST', url: `Patient/$${canaries.batchOperation.toLowerCase()}` } }];
  for (const each of [entry, called]) {
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry: each });
    await send('/fhir', { method: 'POST', headers: fhir, body });
  }
  for (const query of [mapName, `who=p-1&${mapName}=1`, `name=${mapName}`]) await send(`/api/visits?${query}`);
}

async function refusals(): Promise<void> {
  await send(`/posted/Patient?name=${canaries.postOnly}`);
  await send(`/posted/Patient?identifier=${canaries.postOnly}`, { method: 'DELETE' });
  for (const _ of [1, 2, 3]) await send(`/fhir/Flag?name=${canaries.limited}`);
  await send(`/fhir/Observation?x=${canaries.large}${'y'.repeat(9_000)}`);
  await send('/fhir/Observation', { method: 'POST', headers: fhir, body: `"${canaries.large}${'y'.repeat(70_000)}"` });
  await road.fetch(`/fhir/Goal?description=${canaries.upstreamError}`);
  await send('/fhir/Observation?code=x', {
    headers: { dpop: canaries.proof, authorization: `DPoP ${canaries.proof}` },
  });
  await send('/logout', { method: 'POST', headers: form, body: `logout_token=${canaries.logout}`, token: null });
  for (const raw of [
    `GET /fhir/Patient?name=${canaries.malformed} HTTP/1.1\r\nHost: a\r\nHost: ${canaries.malformed}\r\n\r\n`,
    `GET /fhir/Patient?name=${canaries.malformed} HTTP/3.9\r\nHost: a\r\n\r\n`,
    `POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${canaries.malformed}\r\n`,
    `POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ${canaries.malformed}\r\n\r\n`,
    `GET http://${canaries.malformed}/fhir HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    `GET /fhir/Patient HTTP/1.1\r\nHost: a\r\nExpect: ${canaries.malformed}\r\nConnection: close\r\n\r\n`,
    `GET /fhir/Patient HTTP/1.1\r\nHost: a\r\nX: ${canaries.malformed.repeat(3_000)}\r\n\r\n`,
  ])
    aside.find('an answer to no request', await road.raw(raw));
}

async function glassAndConsent(): Promise<void> {
  const token = await road.issuer.mint({ sub: 'nurse-1', roles: ['nurse'] });
  const glass = (more: Record<string, string>): FetchOptions => ({
    token,
    headers: { 'x-purpose-of-use': 'BTG', ...more },
  });
  await send('/fhir/Patient/p-1', glass({ 'x-break-glass-reason': canaries.glassReason }));
  await send(
    '/fhir/Observation?code=x',
    glass({ 'x-break-glass-reason': 'emergency', 'x-break-glass-patient': `${canaries.glassPatient} X` }),
  );
  await road.fetch('/fhir/Patient/p-1', glass({ 'x-break-glass-reason': 'emergency' }));
  await send('/fhir/Patient/p-1', { headers: { 'x-purpose-of-use': canaries.purpose } });
  // Whoever keeps consents answers with a canary each time.
  await road.fetch(`/fhir/Observation?patient=p-1&note=${canaries.consent}`);
}

async function fronts(): Promise<void> {
  const put = (path: string, headers: Record<string, string>, body?: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const asking = ask(
        { socketPath: socket, path, headers, method: body === undefined ? 'GET' : 'POST' },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (more: string) => {
            text += more;
          });
          response.on('end', () => {
            aside.find(`the answer to ${path.slice(0, 18)}`, text + JSON.stringify(response.headers));
            resolve();
          });
        },
      );
      asking.on('error', reject);
      asking.end(body);
    });
  const authorization = `Bearer ${road.token}`;
  const headers = {
    'x-note': canaries.frontHeader,
    cookie: canaries.frontHeader,
    'x-request-id': `${canaries.frontHeader}/`,
  };
  for (const target of [
    `/fhir/Patient?name=${canaries.frontTarget}`,
    `/fhir/../${canaries.frontTarget}`,
    `/${canaries.frontTarget}`,
    '/fhir/metadata',
    `/fhir?_sealed-page=${canaries.frontTarget}`,
    `/fhir/Patient?${canaries.frontName}`,
    `/fhir/Patient/$${canaries.frontOperation.toLowerCase()}`,
    `/api/visits?${canaries.frontName}=1`,
  ]) {
    const nginx = {
      'x-original-method': 'GET',
      'x-original-uri': target,
      'x-original-host': canaries.frontHeader,
      'x-real-ip': '203.0.113.7',
    };
    await put('/v1/authz/nginx', { ...headers, ...nginx, authorization });
    const forward = {
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': target,
      'x-forwarded-host': canaries.frontHeader,
      'x-forwarded-for': '203.0.113.7',
    };
    await put('/v1/authz/forward', { ...headers, ...forward, authorization: `Bearer ${canaries.frontHeader}` });
    await put(`/v1/authz/envoy${target}`, { ...headers, authorization });
  }
  for (const method of [canaries.frontMethod.toUpperCase(), canaries.frontMethod]) {
    const target = { 'x-original-uri': '/fhir/Patient/p-1', 'x-real-ip': '203.0.113.7' };
    await put('/v1/authz/nginx', { ...headers, ...target, 'x-original-method': method, authorization });
    const forwarded = { 'x-forwarded-uri': '/fhir/Patient/p-1', 'x-forwarded-for': '203.0.113.7' };
    await put('/v1/authz/forward', { ...headers, ...forwarded, 'x-forwarded-method': method, authorization });
  }
  await put(
    '/v1/outcomes',
    {},
    `{"status":200,"uri":"${canaries.frontLog}","request_id":"${canaries.frontLog}"}\n${canaries.frontLog}\n`,
  );
  await askSpop();
}

async function askSpop(): Promise<void> {
  const frame = new FrameWriter().begin(frameTypes.haproxyHello, 0, 0);
  const said = {
    'supported-versions': '2.0',
    'max-frame-size': 16_380,
    capabilities: 'pipelining',
    engine: canaries.spop,
  };
  for (const [name, value] of Object.entries(said)) frame.pair(name, value);
  const hello = frame.end().take();
  const values = {
    method: 'GET',
    target: `/fhir/Patient?name=${canaries.spop}&${canaries.spop}`,
    host: canaries.spop,
    peer: '203.0.113.7',
    'request-id': `${canaries.spop}/`,
    authorization: `Bearer ${road.token}`,
  };
  const question = new FrameWriter().begin(frameTypes.notify, 1, 1).text('watchglass').byte(Object.keys(values).length);
  for (const [name, value] of Object.entries(values)) question.pair(name, value);
  const line = connect(spop);
  line.write(hello);
  line.write(question.end().take());
  let answered = '';
  for await (const chunk of line as AsyncIterable<Buffer>) {
    answered += chunk.toString('latin1');
    // The hello of the agent and its answer.
    if (answered.includes('requestid')) break;
  }
  aside.find('the answer to HAProxy', answered);
  // And what is no frame at all.
  const noise = connect(spop);
  noise.end(Buffer.concat([Buffer.from([0, 0, 0, 40]), Buffer.from(canaries.spop.repeat(4))]));
  for await (const chunk of noise as AsyncIterable<Buffer>) aside.find('the answer to noise', chunk.toString('latin1'));
}

describe('what would identify somebody, through every door', () => {
  it('is in no event', () => {
    const operations = new Set(road.events.map(({ operation }) => operation));
    for (const expected of [
      '$export',
      'export-status',
      'export-file',
      'batch',
      'conditional-create',
      'break-glass-opened',
      'protocol-violation',
      'no-route',
    ])
      assert.ok(operations.has(expected), expected);
    const reasons = new Set(road.events.map(({ outcome }) => outcome.reason));
    for (const expected of [
      'page-unreadable',
      'page-unsealed',
      'page-of-another',
      'search-by-post',
      'rate-route',
      'export-query',
      'break-glass-reason',
      'purpose',
      'stream-cut-off',
    ])
      assert.ok(reasons.has(expected), `${expected} of ${[...reasons].join(' ')}`);
    aside.findInEvents(road);
  });

  it('is said to have been there, where a name of a parameter is nobody’s', () => {
    const queries = road.events.map(({ request }) => request?.query?.join(' '));
    for (const expected of ['other', 'patient other', 'other patient', 'name other', 'who other'])
      assert.ok(queries.includes(expected), expected);
  });

  it('is in no log line and no metric', () => aside.findInLogsAndMetrics());

  it('is in no body or header that the gateway itself wrote', () => assert.ok(aside.findInOwnAnswers() > 25));

  it('is in no byte of the spool', async () => assert.ok((await aside.findOnDisk(road, ['p-1', 'person-1'])) > 10_000));

  // What was not sent yet is sent when the gateway stops.
  it('is in no span of a trace', async () => {
    await road.close();
    closed = true;
    assert.ok(spans.split('"traceId"').length > 20, spans.slice(0, 200));
    aside.find('the spans', spans);
  });
});
