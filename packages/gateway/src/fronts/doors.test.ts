/** The doors of fronts on other machines: each asks for a certificate, and says nothing to who has none of its authority. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';

import { credentials, status } from '@grpc/grpc-js';

import { selfSigned } from '../certificate.fixture.ts';
import { type Road, startRoad } from '../gateway.fixture.ts';
import { check, envoyAt } from './envoy-api.fixture.ts';
import { FrameWriter, frameTypes } from './spop-frames.ts';

const own = selfSigned();
const front = selfSigned();
const stranger = selfSigned();

type Known = Pick<ConnectionOptions, 'cert' | 'key'>;

describe('doors on other addresses', () => {
  let folder: string;
  let road: Road;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watchglass-doors-'));
    const files = { 'door.pem': own.cert, 'door.key': own.key, 'front.pem': front.cert };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const tls = { cert: join(folder, 'door.pem'), key: join(folder, 'door.key'), clientCa: join(folder, 'front.pem') };
    const door = { host: '127.0.0.1', port: 0, tls };
    const fronts = { authz: door, spop: door, grpc: door, outcomes: {} };
    road = await startRoad({ config: { url: 'https://api.example.test', fronts } });
  });
  after(async () => {
    await road.close();
    await rm(folder, { recursive: true, force: true });
  });

  const port = (name: 'authz' | 'spop' | 'grpc'): number => Number(road.gateway.fronts?.[name]);
  const trusted = { ca: own.cert, host: '127.0.0.1', servername: 'localhost' };

  const byHttp = (who: Known, path: string, method = 'GET'): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { host: 'api.example.test', authorization: `Bearer ${road.token}` };
      const options = { ...trusted, ...who, port: port('authz'), path, method, headers, agent: false };
      request(options, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });

  /** The first byte of what the agent says behind its length: the type of its frame. */
  const bySpop = (who: Known): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const socket = connect({ ...trusted, ...who, port: port('spop') }, () => {
        const hello = new FrameWriter().begin(frameTypes.haproxyHello, 0, 0);
        hello.pair('supported-versions', '2.0').pair('max-frame-size', 16_380).pair('capabilities', 'pipelining');
        socket.write(hello.end().take());
      });
      socket.on('data', (chunk: Buffer) => {
        resolve(chunk[4]);
        socket.destroy();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('closed')));
    });

  const byGrpc = async (channel: ReturnType<typeof credentials.createSsl>): Promise<number> => {
    using envoy = envoyAt(`localhost:${port('grpc')}`, channel);
    const http = {
      method: 'GET',
      path: '/fhir/Patient/p-1',
      host: 'api.example.test',
      headers: { authorization: `Bearer ${road.token}` },
    };
    return (await check(envoy.authorization, { attributes: { request: { http } } })).status.code;
  };

  it('answer who shows a certificate of their authority', async () => {
    assert.equal(await byHttp(front, '/v1/authz/envoy/fhir/Patient/p-1'), 200);
    assert.equal(await byHttp(front, '/v1/outcomes', 'POST'), 204);
    assert.equal(await bySpop(front), frameTypes.agentHello);
    const pem = [own.cert, front.key, front.cert].map((text) => Buffer.from(text));
    assert.equal(await byGrpc(credentials.createSsl(...pem)), status.OK);
  });

  it('say nothing to anybody else', async () => {
    for (const who of [{}, stranger]) {
      await assert.rejects(byHttp(who, '/v1/authz/envoy/fhir/Patient/p-1'));
      await assert.rejects(byHttp(who, '/v1/outcomes', 'POST'));
      await assert.rejects(bySpop(who));
    }
    const [ca, key, cert] = [own.cert, stranger.key, stranger.cert].map((text) => Buffer.from(text));
    for (const channel of [
      credentials.createSsl(ca),
      credentials.createSsl(ca, key, cert),
      credentials.createInsecure(),
    ])
      await assert.rejects(byGrpc(channel), { code: status.UNAVAILABLE });
  });
});
