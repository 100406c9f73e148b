/**
 * What no route takes: a path that has other methods is told which (RFC 9110 §15.5.6), any other path that there is nothing.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServerError } from '../errors.ts';
import type { MountedRoute } from './server.ts';

/** Of the console's files: takes any path, so it says nothing about one. */
const anyPath = '/*';

export type RefuseUnrouted = (request: FastifyRequest, reply: FastifyReply) => never;

/** `routes` may still grow: it is looked at when a request is refused. */
export function refuseUnrouted(routes: readonly MountedRoute[]): RefuseUnrouted {
  return (request, reply) => {
    const path = pathOf(request);
    const methods = new Set(routes.filter(({ url }) => takes(url, path)).map(({ method }) => method));
    if (methods.size === 0 || methods.has(request.method)) {
      throw new ServerError('not-found', 'expected one of the paths of /openapi.json');
    }
    const allowed = [...methods].sort().join(', ');
    reply.header('allow', allowed);
    throw new ServerError('method-not-allowed', `expected ${allowed} for this path, got ${request.method}`);
  };
}

export function pathOf({ url }: FastifyRequest): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/** Part by part: `:name` is any part, a last `*` any rest. */
function takes(template: string, path: string): boolean {
  if (template === anyPath) return false;
  const wanted = template.split('/');
  const parts = path.split('/');
  const open = wanted.at(-1) === '*';
  if (open ? parts.length < wanted.length : parts.length !== wanted.length) return false;
  return wanted.every((part, at) => part === '*' || part === parts[at] || (part.startsWith(':') && parts[at] !== ''));
}
