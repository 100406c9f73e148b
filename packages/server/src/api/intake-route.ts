/**
 * `POST /v1/events`: hands the raw body to the door of the intake; nothing here parses it.
 */
import type { FastifyInstance } from 'fastify';
import { ServerError } from '../errors.ts';
import { originOf } from './authenticate.ts';
import { mountPublic } from './public-routes.ts';
import type { EventDoor } from './server.ts';

/** Of a refused body: up to here the rest is read and dropped; past it the connection is cut. */
const restBytesMax = 32 * 1024 * 1024;

export async function mountIntakeRoute(app: FastifyInstance, door: EventDoor): Promise<void> {
  // A scope of its own: only here a body of any type stays a stream.
  await app.register((scope, _options, registered) => {
    scope.removeAllContentTypeParsers();
    // Thousands of posts a second: no logger of its own for each.
    scope.setChildLoggerFactory((logger) => logger);
    scope.addContentTypeParser('*', (_request, _body, done) => done(null));
    mountPublic(scope, 'POST /v1/events', async (request, reply) => {
      const { headers, raw } = request;
      const length = headers['content-length'];
      try {
        const answer = await door.take({
          authorization: headers.authorization,
          contentType: headers['content-type'],
          contentEncoding: headers['content-encoding'],
          contentLength: length === undefined ? undefined : Number(length),
          body: raw,
          address: originOf(request).address,
        });
        return reply
          .code(201)
          .header('cache-control', 'no-store')
          .header('content-type', 'application/json; charset=utf-8')
          .send(JSON.stringify(answer));
      } catch (error) {
        // What was not read is not waited for. But who holds a key and sends a little too much has to see the answer, and sees it only where
        // the rest is read, as Node does on a connection that stays open.
        const restIsRead =
          error instanceof ServerError && error.code === 'body-too-large' && Number(length) <= restBytesMax;
        if (!raw.complete && !restIsRead) reply.header('connection', 'close');
        throw error;
      }
    });
    registered();
  });
}
