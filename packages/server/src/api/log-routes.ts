/**
 * The public face of the logs (c2sp.org/tlog-tiles): checkpoints, verifier keys, tiles, seals and statements on keys. Needs no sign-in: commitments hide what they commit to, and a log nobody can
 * look at proves nothing.
 */

import type { TenantId } from '@watchglass/record';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { ServerError } from '../errors.ts';
import { mountPublic } from './public-routes.ts';
import type { ApiDeps } from './server.ts';

const checkpointCache = 'public, max-age=2';
const tileCache = 'public, max-age=31536000, immutable';
const text = 'text/plain; charset=utf-8';

export function mountLogRoutes(app: FastifyInstance, { ledger }: Pick<ApiDeps, 'ledger'>): void {
  const tenantOf = (params: unknown): TenantId => {
    const { tenant } = params as { tenant: string };
    const known = ledger.tenants().find((one) => one === tenant);
    if (known === undefined && ledger.state.kind === 'read-only')
      throw new ServerError(
        'unavailable',
        'the log may be here and damaged; ask the operator, whom /v1/status tells more',
      );
    if (known === undefined) throw new ServerError('not-found', 'expected the name of a log; GET /log lists them');
    return known;
  };
  const send = (reply: FastifyReply, type: string, cache: string, body: string | Uint8Array): FastifyReply =>
    reply
      .header('content-type', type)
      .header('cache-control', cache)
      .header('access-control-allow-origin', '*')
      .send(typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength));

  mountPublic(app, 'GET /log', async () =>
    ledger.tenants().map((tenant) => ({ tenant, origin: ledger.origin(tenant) })),
  );
  mountPublic(app, 'GET /log/:tenant/checkpoint', async (request, reply) =>
    send(reply, text, checkpointCache, (await ledger.resource(tenantOf(request.params), 'checkpoint')) ?? ''),
  );
  mountPublic(app, 'GET /log/:tenant/cosigned', async (request, reply) => {
    const note = await ledger.resource(tenantOf(request.params), 'cosigned');
    if (note === undefined)
      throw new ServerError('not-found', 'no quorum of witnesses has cosigned a checkpoint of this log yet');
    return send(reply, text, checkpointCache, note);
  });
  mountPublic(app, 'GET /log/:tenant/vkey', async (request, reply) =>
    send(reply, text, checkpointCache, `${ledger.vkeys(tenantOf(request.params)).join('\n')}\n`),
  );
  mountPublic(app, 'GET /log/:tenant/predecessor', async (request, reply) => {
    const statement = await ledger.resource(tenantOf(request.params), 'predecessor');
    if (statement === undefined) throw new ServerError('not-found', 'this log goes on from no other');
    return send(reply, text, checkpointCache, Buffer.from(statement).toString('utf8'));
  });
  for (const folder of ['seals', 'rotations'] as const) {
    mountPublic(app, `GET /log/:tenant/${folder}`, async (request) =>
      ledger.statements(tenantOf(request.params), folder),
    );
    mountPublic(app, `GET /log/:tenant/${folder}/:number`, async (request, reply) => {
      const { number } = request.params as { number: string };
      const bytes = await ledger.resource(tenantOf(request.params), `${folder}/${number}`);
      if (bytes === undefined)
        throw new ServerError('not-found', `expected a number that GET /log/<tenant>/${folder} lists`);
      return send(reply, text, tileCache, Buffer.from(bytes).toString('utf8'));
    });
  }
  mountPublic(app, 'GET /log/:tenant/tile/*', async (request, reply) => {
    const path = (request.params as { '*': string })['*'];
    const bytes = await ledger.resource(tenantOf(request.params), `tile/${path}`);
    if (bytes === undefined)
      throw new ServerError('not-found', 'expected the path of a tile within the published size (c2sp.org/tlog-tiles)');
    return send(reply, 'application/octet-stream', tileCache, bytes);
  });
}
