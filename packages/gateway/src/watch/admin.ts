/**
 * The operator's door, apart from the data plane: `/healthz` (the process answers, and says whether the server’s receipts still hold, and which workers there are), `/readyz` (it would let a
 * request pass, whichever worker got it), `/metrics`.
 */
import { createServer, type Server } from 'node:http';

import type { ReceiptStatus } from '@watchglass/sdk';

/** Why the gateway would refuse; empty when it wouldn't. */
export type ReadinessProblems = () => Promise<readonly string[]>;

export function createAdmin(parts: {
  readonly problems: ReadinessProblems;
  /** How each origin of the APIs is, where there is more to say than that they are down. */
  readonly upstreams?: () => readonly object[] | undefined | Promise<readonly object[] | undefined>;
  readonly receipts: () => ReceiptStatus | Promise<ReceiptStatus>;
  /** Of a gateway that has several. */
  readonly workers?: () => readonly object[];
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}): Server {
  return createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    const answer = async (): Promise<void> => {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.writeHead(405, { allow: 'GET, HEAD' }).end();
        return;
      }
      switch (request.url) {
        case '/healthz':
          response
            .writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
            .end(JSON.stringify({ status: 'ok', receipts: await parts.receipts(), workers: parts.workers?.() }));
          return;
        case '/readyz': {
          const problems = await parts.problems();
          response
            .writeHead(problems.length === 0 ? 200 : 503, { 'content-type': 'application/json' })
            .end(JSON.stringify({ ready: problems.length === 0, problems, upstreams: await parts.upstreams?.() }));
          return;
        }
        case '/metrics':
          response.writeHead(200, { 'content-type': parts.metrics.contentType }).end(await parts.metrics.text());
          return;
        default:
          response.writeHead(404).end();
      }
    };
    answer().catch(() => response.destroy());
  });
}
