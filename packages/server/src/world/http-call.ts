/**
 * The network door of the server's own calls to other services: one request, one bounded answer, ended by its signal. No redirect is followed, no
 * proxy is read from the environment, and no connection is kept: such calls are rare, and a kept one is one more thing that hangs.
 */
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

/** Rejects with the signal's reason when it aborts, with the system's error, or with a RangeError past `bytesMax`. */
export function httpCall(
  asked: HttpRequest,
  { signal, bytesMax }: { readonly signal: AbortSignal; readonly bytesMax: number },
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const body = asked.body === undefined ? undefined : Buffer.from(asked.body);
    const options = {
      method: asked.method,
      headers: { ...asked.headers, ...(body === undefined ? {} : { 'content-length': String(body.length) }) },
      agent: false,
      signal,
      ...(asked.ca === undefined ? {} : { ca: asked.ca }),
    };
    const failed = (error: unknown): void => reject(signal.aborted ? signal.reason : error);
    const send = asked.url.protocol === 'https:' ? requestTls : requestPlain;
    const request = send(asked.url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bytesMax)
          response.destroy(new RangeError(`expected an answer of at most ${bytesMax} bytes, got more`));
        else chunks.push(chunk);
      });
      response.on('error', failed);
      response.on('end', () => {
        const headers: Record<string, string | undefined> = {};
        for (const [name, value] of Object.entries(response.headers))
          headers[name] = Array.isArray(value) ? value.join(', ') : value;
        resolve({ status: response.statusCode ?? 0, headers, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    request.on('error', failed);
    request.end(body);
  });
}
