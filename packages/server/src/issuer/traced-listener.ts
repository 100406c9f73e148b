/** Requests at the issuer as spans, by the templates of its paths: what else stands in a path may be a secret (an interaction, a code). */
import type { RequestListener } from 'node:http';
import type { Tracing } from '../trace/tracing.ts';

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']);

/** `paths`: those that the issuer answers; one that ends in a slash has something behind it. */
export function traceListener(
  listener: RequestListener,
  { tracing, url, paths }: { readonly tracing: Tracing; readonly url: string; readonly paths: readonly string[] },
): RequestListener {
  const at = new URL(url);
  return (request, response) => {
    const [path = ''] = request.url?.split('?') ?? [];
    const { method = '' } = request;
    const span = tracing.begin(
      {
        method: methods.has(method) ? method : '_OTHER',
        route: templateOf(path, paths),
        traceparent: request.headers.traceparent,
      },
      at,
    );
    response.once('close', () => span.end({ status: response.statusCode }));
    tracing.within(span, () => listener(request, response));
  };
}

function templateOf(path: string, paths: readonly string[]): string | undefined {
  const found = paths.find((one) => (one.endsWith('/') ? path.startsWith(one) && path !== one : path === one));
  return found?.endsWith('/') ? `${found}:id` : found;
}
