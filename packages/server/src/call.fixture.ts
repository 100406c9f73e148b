/** For tests only: a question to a running server, by HTTP. */
export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Asks, or posts what is given. */
export async function call(url: string, token: string, body?: unknown): Promise<Answered> {
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
