/**
 * The console's files. A page the console routes by itself is answered with `index.html`; everything else that isn't there is a plain 404.
 */
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { mountPublic } from './public-routes.ts';
import { pathOf, type RefuseUnrouted } from './unrouted.ts';

const ofTheApi = /^\/(v1|log|auth|fhir|healthz|readyz|metrics|openapi\.json)(\/|$)/;
/** Names of built assets carry a digest of what is in them. */
const immutable = /^\/assets\//;
const yearMs = 31_536_000_000;

export async function mountConsoleFiles(
  app: FastifyInstance,
  consoleDir: string | undefined,
  refuse: RefuseUnrouted,
): Promise<void> {
  if (consoleDir !== undefined) {
    await app.register(fastifyStatic, { root: consoleDir, serve: false, index: false, dotfiles: 'ignore' });
  }
  // Not async: awaiting a reply costs listeners on the response each time.
  mountPublic(app, 'GET /*', (request, reply) => {
    const path = pathOf(request);
    if (consoleDir === undefined || ofTheApi.test(path)) return refuse(request, reply);
    if (path === '/' || isPage(path, request)) {
      return reply.header('cache-control', 'no-cache').sendFile('index.html', { cacheControl: false });
    }
    return immutable.test(path)
      ? reply.sendFile(path, { maxAge: yearMs, immutable: true })
      : reply.header('cache-control', 'no-cache').sendFile(path, { cacheControl: false });
  });
  app.setNotFoundHandler(refuse);
}

/** A path the console routes by itself: a browser asks for a page, and no file has such a name. */
function isPage(path: string, { headers }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('text/html') && !/\.[a-z0-9]+$/i.test(path);
}
