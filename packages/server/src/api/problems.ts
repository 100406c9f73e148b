/**
 * Errors as problem details (RFC 9457). What isn't one of ours is answered as `internal`, and logged without its message: a message may quote what was sent.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServerError, type ServerErrorCode, serverErrors } from '../errors.ts';
import { asRefusal } from '../review/ledger-refusal.ts';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ServerErrorCode;
  readonly requestId: string;
  readonly errors?: ServerError['errors'];
}

export const problemType = 'application/problem+json; charset=utf-8';

/** Any error as one of ours. */
export function asServerError(error: unknown): ServerError {
  const refusal = asRefusal(error);
  if (refusal instanceof ServerError) return refusal;
  const { code: frameworkCode, statusCode } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown;
    statusCode?: unknown;
  };
  // A path out of the console's files: @fastify/static says 403, and to us there is nothing.
  if (statusCode === 403) return new ServerError('not-found', undefined, { cause: error });
  if (typeof frameworkCode === 'string' && frameworkCode.startsWith('FST_') && typeof statusCode === 'number') {
    const code = frameworkCodes.get(statusCode);
    if (code !== undefined) return new ServerError(code, undefined, { cause: error });
  }
  return new ServerError('internal', undefined, { cause: error });
}

const frameworkCodes: ReadonlyMap<number, ServerErrorCode> = new Map([
  [400, 'bad-request'],
  [404, 'not-found'],
  [405, 'method-not-allowed'],
  [408, 'request-timeout'],
  [413, 'body-too-large'],
  [415, 'media-type'],
]);

export function problemOf(error: ServerError, requestId: string): Problem {
  const { status, title } = serverErrors[error.code];
  return {
    type: `urn:watchglass:error:${error.code}`,
    title,
    status,
    detail: error.code === 'internal' ? serverErrors.internal.remedy : error.message,
    code: error.code,
    requestId,
    ...(error.errors === undefined ? {} : { errors: error.errors }),
  };
}

/** Answers with a problem, and logs what the operator has to know. */
export async function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const error = asServerError(thrown);
  if (error.code === 'internal') {
    request.log.error(
      { requestId: request.id, route: request.routeOptions.url, ...withoutMessage(error.cause ?? error) },
      'request failed',
    );
  }
  if (error.retryAfterMs !== undefined)
    reply.header('retry-after', String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000))));
  if (error.status === 401) reply.header('www-authenticate', 'Bearer realm="watchglass"');
  reply.code(error.status).header('content-type', problemType).header('cache-control', 'no-store');
  await reply.send(JSON.stringify(problemOf(error, request.id)));
}

/** Name, code and stack frames of an error, without its message. */
function withoutMessage(error: unknown): { name: string; code?: string; stack: string } {
  if (!(error instanceof Error)) return { name: typeof error, stack: '' };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { name: error.name, ...(code === undefined ? {} : { code }), stack: frames.join('\n') };
}
