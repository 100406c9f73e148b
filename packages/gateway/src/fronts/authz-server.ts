/**
 * The door for fronts that ask by HTTP: one path for each dialect, no body read, every answer given only once its event is on record. Lines of access logs may
 * be posted here too, by whatever ships them.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { TrustedProxies } from '@watchglass/record/source';
import { readBody } from '../http/body.ts';
import { tlsRules } from '../identity/own-certificate.ts';
import type { Asked } from './asked.ts';
import type { Verdict } from './decision.ts';
import { answerQuestion, authzPaths, type HttpDialect, readQuestion } from './dialects.ts';

export interface MutualTls {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

export interface AuthzJudge {
  decide(asked: Asked): Promise<Verdict>;
  refuseInput(asked: Asked, reason: string): Promise<Verdict>;
  fields(): readonly string[];
}

/** A question holds the client's header and target in its own. */
const headerBytesMax = 48 * 1_024;

export const outcomesPath = '/v1/outcomes';
const outcomesBytesMax = 1_024 * 1_024;

/** An HTTP server that isn't listening yet. */
export function createAuthzServer(parts: {
  readonly judge: AuthzJudge;
  readonly proxies: TrustedProxies;
  readonly tls: MutualTls | undefined;
  readonly onFault: (error: unknown) => void;
  /** Lines of an access log; undefined where nobody waits for any. */
  readonly onOutcomes: ((lines: string) => void) | undefined;
}): Server {
  const { judge, proxies, tls, onFault, onOutcomes } = parts;
  const options = {
    maxHeaderSize: headerBytesMax,
    headersTimeout: 10_000,
    requestTimeout: 10_000,
    keepAliveTimeout: 75_000,
    insecureHTTPParser: false,
    requireHostHeader: false,
    shouldUpgradeCallback: () => false,
    noDelay: true,
  };
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === outcomesPath && request.method === 'POST' && onOutcomes !== undefined) {
      const lines = await readBody(request, outcomesBytesMax).catch(() => undefined);
      if (lines !== undefined) onOutcomes(lines.toString('utf8'));
      response.writeHead(lines === undefined ? 413 : 204, lines === undefined ? { connection: 'close' } : {}).end();
      return;
    }
    request.resume();
    const dialect = dialectOf(request.url ?? '');
    if (dialect === undefined) {
      response.writeHead(404, { 'content-length': '0' }).end();
      return;
    }
    const { asked, fault } = readQuestion(request, dialect, { fields: judge.fields(), proxies });
    const verdict = await (fault === undefined ? judge.decide(asked) : judge.refuseInput(asked, fault));
    const { status, headers, body } = answerQuestion(verdict, dialect);
    // Once the door is being closed each answer is the last on its connection.
    if (!server.listening) response.setHeader('connection', 'close');
    response.writeHead(status, headers);
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response).catch((error: unknown) => {
      onFault(error);
      if (!response.headersSent) response.writeHead(500, { 'content-length': '0' });
      response.end();
    });
  };
  const server: Server =
    tls === undefined
      ? createHttpServer(options, listener)
      : createHttpsServer(
          {
            ...options,
            ...tlsRules,
            cert: tls.cert,
            key: tls.key,
            ca: tls.clientCa,
            requestCert: true,
            rejectUnauthorized: true,
            ALPNProtocols: ['http/1.1'],
          },
          listener,
        );
  return server;
}

function dialectOf(url: string): HttpDialect | undefined {
  if (url === authzPaths.nginx) return 'nginx';
  if (url === authzPaths.forward) return 'forward';
  return url.startsWith(`${authzPaths.envoy}/`) ? 'envoy' : undefined;
}
