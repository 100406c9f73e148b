/**
 * The HTTP client of the commands: JSON, text, bytes and server-sent events. A problem (RFC 9457) becomes a `CliError` with its
 * detail and remedy. Never follows a redirect: a token goes to the server it was given for and nowhere else.
 */
import { Agent, fetch, type Response } from 'undici';
import type { Connection } from './connection.ts';
import { CliError, type ErrorPlace, messageOf, systemCodeOf } from './errors.ts';

const headersTimeoutMs = 60_000;
const connectTimeoutMs = 10_000;
/** Of an answer that isn't a stream, unless said otherwise. */
const answerMebibytes = 64;
/** Of a file: a bundle has at most 48 Mi characters of evidence, of up to three bytes each. */
const fileMebibytes = 160;
/** Of one line of a stream. */
const lineCharactersMax = 1024 * 1024;

export interface Client extends AsyncDisposable {
  readonly url: string;
  get(path: string, signal?: AbortSignal): Promise<Uint8Array>;
  getText(path: string, signal?: AbortSignal): Promise<string>;
  getJson(path: string, signal?: AbortSignal): Promise<unknown>;
  postJson(path: string, body: unknown, signal?: AbortSignal): Promise<unknown>;
  deleteJson(path: string, signal?: AbortSignal): Promise<unknown>;
  /** What is answered as bytes: a file. */
  postForFile(path: string, body: unknown, signal?: AbortSignal): Promise<Uint8Array>;
  /** The `data` of each server-sent event. */
  stream(path: string, signal: AbortSignal): AsyncIterable<string>;
}

/**
 * @param waitMsMax for the beginning of an answer
 * @param mebibytesMax of an answer that isn't a stream
 */
export function openClient(
  connection: Connection,
  waitMsMax: number = headersTimeoutMs,
  mebibytesMax: number = answerMebibytes,
): Client {
  const bodyOf = (response: Response): Promise<Uint8Array> => readBody(response, mebibytesMax);
  const agent = new Agent({
    connect: { timeout: connectTimeoutMs, ...(connection.ca === undefined ? {} : { ca: connection.ca }) },
    headersTimeout: waitMsMax,
    bodyTimeout: 0,
    connections: 8,
  });
  const ask = async (
    path: string,
    options: { method?: string; body?: string; accept: string; signal?: AbortSignal | undefined },
  ): Promise<Response> => {
    let response: Response;
    try {
      response = await fetch(`${connection.url}${path}`, {
        method: options.method ?? 'GET',
        redirect: 'manual',
        dispatcher: agent,
        headers: {
          accept: options.accept,
          ...(connection.token === undefined ? {} : { authorization: `Bearer ${connection.token}` }),
          ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(options.body === undefined ? {} : { body: options.body }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      throw unreachable(connection.url, error);
    }
    if (!response.ok) throw await problemOf(response, path);
    return response;
  };
  return {
    url: connection.url,
    get: async (path, signal) => bodyOf(await ask(path, { accept: '*/*', signal })),
    getText: async (path, signal) =>
      new TextDecoder().decode(await bodyOf(await ask(path, { accept: 'text/plain', signal }))),
    getJson: async (path, signal) =>
      parseJson(await bodyOf(await ask(path, { accept: 'application/json', signal })), path),
    postJson: async (path, body, signal) =>
      parseJson(
        await bodyOf(
          await ask(path, { method: 'POST', body: JSON.stringify(body), accept: 'application/json', signal }),
        ),
        path,
      ),
    deleteJson: async (path, signal) =>
      parseJson(await bodyOf(await ask(path, { method: 'DELETE', accept: 'application/json', signal })), path),
    postForFile: async (path, body, signal) =>
      readBody(await ask(path, { method: 'POST', body: JSON.stringify(body), accept: '*/*', signal }), fileMebibytes),
    stream: async function* (path, signal) {
      const response = await ask(path, { accept: 'text/event-stream', signal });
      if (response.body !== null) yield* dataLines(response.body);
    },
    async [Symbol.asyncDispose]() {
      await agent.destroy();
    },
  };
}

/** The `data:` fields of a server-sent event stream, joined by line feeds per event (HTML Living Standard §9.2). */
export async function* dataLines(body: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? '';
    if (rest.length > lineCharactersMax)
      throw new CliError('answer-invalid', 'a line of the stream is over 1 MiB long');
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield data.join('\n');
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
      }
    }
  }
}

async function readBody(response: Response, mebibytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > mebibytesMax * 1024 * 1024) {
      throw new CliError('answer-invalid', `the answer is larger than ${mebibytesMax} MiB`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new CliError('answer-invalid', `expected JSON from ${path}, got something else`, {
      cause: error,
      remedy: 'Check that the URL is that of a Watchglass server.',
    });
  }
}

function unreachable(url: string, error: unknown): CliError {
  const why = systemCodeOf(error) ?? messageOf((error as { cause?: unknown }).cause ?? error);
  const trust = /self.signed|unable to (get|verify)|certificate/i.test(
    messageOf((error as { cause?: unknown }).cause ?? error),
  );
  return new CliError('unreachable', `${url} cannot be reached (${why})`, {
    cause: error,
    remedy: trust
      ? 'Name the CA certificate that signed the server’s with --ca FILE.'
      : 'Check that the server runs and that the URL is right.',
  });
}

async function problemOf(response: Response, path: string): Promise<CliError> {
  const text = new TextDecoder().decode(await readBody(response, 1));
  let value: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) value = { ...parsed };
  } catch {
    // Not a problem document: the status has to do.
  }
  const say = (key: string): string | undefined => (typeof value[key] === 'string' ? value[key] : undefined);
  const title = say('title') ?? `the server answered ${response.status} to ${path.replace(/\?.*$/, '')}`;
  const detail = say('detail');
  // Who is unknown to the server wants to know what to type here.
  const remedy =
    response.status === 401 && detail !== undefined
      ? `${detail.replace(/\.?$/, '.')} ${remedyOf(401)}`
      : (detail ?? remedyOf(response.status));
  const problem = say('code');
  return new CliError('api', `${title} (${response.status}${problem === undefined ? '' : ` ${problem}`})`, {
    status: response.status,
    errors: Array.isArray(value.errors) ? value.errors.filter(isPlace) : [],
    ...(remedy === undefined ? {} : { remedy }),
    ...(problem === undefined ? {} : { problem }),
  });
}

function isPlace(value: unknown): value is ErrorPlace {
  return (
    typeof value === 'object' &&
    value !== null &&
    'path' in value &&
    'expected' in value &&
    'got' in value &&
    [value.path, value.expected, value.got].every((one) => typeof one === 'string')
  );
}

function remedyOf(status: number): string | undefined {
  if (status === 401) return 'Give a token with --token, or the installation with --data DIR.';
  if (status === 403) return 'This needs a right the token does not carry.';
  if (status === 404) return 'Check that the URL is that of a Watchglass server.';
  return undefined;
}
