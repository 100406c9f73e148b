/** HTTP by the platform's own fetch, which keeps connections alive; the promises are those of http.ts. */
import { type Http, type HttpAnswer, HttpFailure, type HttpRequest } from './http.ts';

export const realHttp: Http = {
  async ask(request) {
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(new HttpFailure('deadline', 'the deadline passed')), request.deadlineMs);
    const stopped = (): void => over.abort(new HttpFailure('aborted', 'the request was given up'));
    request.signal?.addEventListener('abort', stopped, { once: true });
    if (request.signal?.aborted === true) stopped();
    try {
      return await exchange(request, over);
    } catch (error) {
      if (over.signal.aborted) throw over.signal.reason;
      if (error instanceof HttpFailure) throw error;
      throw new HttpFailure('unreachable', causeOf(error), error);
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', stopped);
    }
  },
};

async function exchange(
  { method, url, contentType, body, bytesMax }: HttpRequest,
  over: AbortController,
): Promise<HttpAnswer> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    signal: over.signal,
    headers: contentType === undefined ? {} : { 'content-type': contentType },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : Uint8Array.from(body) }),
  });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      const failure = new HttpFailure('too-large', `expected an answer of at most ${bytesMax} bytes`);
      over.abort(failure);
      throw failure;
    }
    chunks.push(chunk);
  }
  return {
    status: response.status,
    contentType: response.headers.get('content-type') ?? '',
    body: Buffer.concat(chunks),
  };
}

/** The system's code, such as ECONNREFUSED: the message of fetch says only that it failed. */
function causeOf(error: unknown): string {
  for (let one: unknown = error; one instanceof Error; one = one.cause)
    if ('code' in one && typeof one.code === 'string') return one.code;
  return error instanceof Error ? error.message : String(error);
}
