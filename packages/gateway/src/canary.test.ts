/** Values that would identify somebody are sent through every door, and then looked for wherever they must not be. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Aside } from './canary.fixture.ts';
import { type Road, sendJson, startRoad } from './gateway.fixture.ts';

let road: Road;

/** Each stands for a name, a number or a text about a person. */
const canaries = {
  path: 'Zeffirelli',
  query: 'Quackenbush',
  header: 'Papadopoulos',
  agent: 'Vandersloot',
  body: 'Okonkwo',
  form: 'Umbridge',
  patch: 'Fitzwilliam',
  response: 'Rumpelstilz',
  responseHeader: 'Drosselmeyer',
  fault: 'Hatzidakis',
  token: 'Szymborska',
} as const;
const aside = new Aside(canaries);

before(async () => {
  road = await startRoad({
    logger: aside.logger,
    config: { admin: { host: '127.0.0.1', port: 0 } },
    upstream: (request, response) => {
      if (request.url?.includes('/o-fault') === true) {
        response.socket?.end(`HTTP/1.1 200 OK\r\n${canaries.fault}\r\n\r\n`);
        return;
      }
      sendJson(
        response,
        request.url?.includes('/o-error') === true ? 500 : 200,
        {
          resourceType: 'Observation',
          id: 'o-1',
          subject: { reference: 'Patient/p-1', display: canaries.response },
          note: [{ text: canaries.response }],
        },
        { 'x-note': canaries.responseHeader, warning: `299 - "${canaries.responseHeader}"` },
      );
    },
  });
  const json = { 'content-type': 'application/fhir+json' };
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const resource = JSON.stringify({ resourceType: 'Observation', note: [{ text: canaries.body }] });
  const send = async (path: string, options: Parameters<Road['fetch']>[1] = {}): Promise<void> => {
    aside.answers.push(await road.fetch(path, options));
  };
  await send(`/fhir/${canaries.path}`);
  await send(`/${canaries.path}/x`);
  await send(`/fhir/Patient/1/${canaries.path}`);
  await send(`/fhir/Patient/$${canaries.path.toLowerCase()}`);
  await send(`/fhir/../${canaries.path}`);
  await send(`/fhir/Patient/1#${canaries.path}`);
  await send(`/fhir/Observation?subject.name=${canaries.query}&_text=${canaries.query}`);
  await send(`/fhir/Observation?name=${canaries.query};x`);
  await send(`/fhir/Observation?_format=${canaries.query}`);
  await send(`/fhir/Observation?_format=json`, {
    headers: {
      'x-note': canaries.header,
      referer: `https://x/${canaries.header}`,
      cookie: `a=${canaries.header}`,
      'x-purpose-of-use': canaries.header,
      'x-request-id': canaries.header,
      'x-forwarded-for': canaries.header,
      traceparent: canaries.header,
    },
  });
  await send('/fhir/Observation/o-1', {
    headers: { 'user-agent': `Browser of ${canaries.agent}, ward 3`, accept: `text/${canaries.header}` },
  });
  await send('/fhir/Observation/o-1', { headers: { prefer: canaries.header, 'if-none-match': canaries.header } });
  await send('/fhir/Observation', { method: 'POST', headers: json, body: resource });
  await send('/fhir/Observation', { method: 'POST', headers: json, body: `{"${canaries.body}` });
  await send('/fhir/Observation', {
    method: 'POST',
    headers: { ...json, 'if-none-exist': `name=${canaries.header}` },
    body: resource,
  });
  await send('/fhir', { method: 'POST', headers: json, body: resource });
  await send('/fhir', { method: 'POST', headers: json, body: `{"${canaries.body}` });
  await send('/fhir', {
    method: 'POST',
    headers: json,
    body: JSON.stringify({
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ request: { method: canaries.body, url: canaries.body } }],
    }),
  });
  await send('/fhir/Patient/_search', { method: 'POST', headers: form, body: `name=${canaries.form}` });
  await send('/fhir/Patient/_search', { method: 'POST', headers: form, body: `name=${canaries.form};` });
  await send('/fhir/Observation/o-1', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json-patch+json' },
    body: JSON.stringify([{ op: 'add', path: '/note', value: canaries.patch }]),
  });
  await send('/fhir/Observation/o-error');
  await send('/fhir/Observation/o-fault');
  await send('/fhir/Observation/o-1', { token: canaries.token });
  await send('/fhir/Observation/o-1', {
    token: `${await road.issuer.mint({ iss: canaries.token, name: canaries.token })}`,
  });
  await road.raw(`GET /fhir/Patient/1 HTTP/1.1\r\nHost: ${canaries.header}/x\r\nX-A : ${canaries.header}\r\n\r\n`);
  await road.raw(`${canaries.path} /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  await aside.settle(road);
});
after(() => road.close());

describe('what would identify somebody', () => {
  it('is in no event', () => {
    assert.ok(road.events.length > 25);
    // The name of an operation is a code, not a value: it is what was asked for.
    aside.findInEvents(road, [`$${canaries.path.toLowerCase()}`]);
  });

  it('is in no log line and no metric', () => aside.findInLogsAndMetrics());

  it('is in no body or header that the gateway itself wrote', () => assert.ok(aside.findInOwnAnswers() > 10));

  it('is in no byte of the spool', async () => assert.ok((await aside.findOnDisk(road, ['p-1', 'person-1'])) > 10_000));
});
