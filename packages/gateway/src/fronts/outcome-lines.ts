/**
 * What the access log of a front says about one request, in one line: our own JSON (nginx, HAProxy, anything), bare or behind a syslog head, Caddy's or Traefik's. Only numbers
 * and the two ids are taken; whatever else stands in the line is not looked at.
 */

export interface Outcome {
  readonly auditId: string | undefined;
  readonly requestId: string | undefined;
  /** Undefined where none was sent: the client left before. */
  readonly status: number | undefined;
  readonly bytes: number | undefined;
  readonly durationMs: number | undefined;
  /** Whether the API was asked. */
  readonly passed: boolean;
}

export const lineCharsMax = 65_536;

/** Undefined for what can't be read. */
export function parseOutcomeLine(line: string): Outcome | undefined {
  const start = line.indexOf('{');
  if (start === -1 || line.length > lineCharsMax) return undefined;
  const said = objectOf(line.slice(start));
  if (said === undefined) return undefined;
  if ('DownstreamStatus' in said) return outcomeOfTraefik(said);
  // Caddy's fields have names and units of their own.
  const own = objectIn(said.resp_headers);
  const { upstream, status } = said;
  return outcomeOf({
    auditId: said.auditId ?? first(own?.['X-Audit-Id']),
    requestId: said.requestId ?? first(own?.['X-Request-Id']),
    status,
    bytes: said.bytes ?? said.size,
    ms: said.ms ?? (typeof said.duration === 'number' ? said.duration * 1_000 : undefined),
    // A front that doesn't say whether it asked the API asked it if it answered well.
    passed:
      typeof upstream === 'string'
        ? upstream !== '' && upstream !== '-' && upstream !== '<NOSRV>'
        : (soundStatus(status) ?? 999) < 400,
  });
}

/** Traefik logs the fields of the request that went on to the API, counts nanoseconds, and leaves out the status of an API that it didn't ask. */
function outcomeOfTraefik(said: Readonly<Record<string, unknown>>): Outcome {
  const { Duration: nanoseconds, OriginStatus: origin } = said;
  return outcomeOf({
    auditId: said['request_X-Audit-Id'],
    requestId: said['request_X-Request-Id'],
    status: said.DownstreamStatus,
    bytes: said.DownstreamContentSize,
    ms: typeof nanoseconds === 'number' ? nanoseconds / 1e6 : undefined,
    passed: soundStatus(origin) !== undefined,
  });
}

/** What of it can be; the rest is left out. */
export function outcomeOf(said: {
  readonly auditId: unknown;
  readonly requestId: unknown;
  readonly status: unknown;
  readonly bytes: unknown;
  readonly ms: unknown;
  readonly passed: boolean;
}): Outcome {
  return {
    auditId: uuidOf(said.auditId),
    requestId: idOf(said.requestId),
    status: soundStatus(said.status),
    bytes: whole(said.bytes, Number.MAX_SAFE_INTEGER),
    durationMs: milliseconds(said.ms),
    passed: said.passed,
  };
}

/** When a UUIDv7 was made; undefined for anything else. */
export function uuidTimeMs(uuid: string): number | undefined {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(uuid)
    ? Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16)
    : undefined;
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    return objectIn(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function objectIn(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function first(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : value;
}

function uuidOf(value: unknown): string | undefined {
  return typeof value === 'string' &&
    /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(value)
    ? value
    : undefined;
}

function idOf(value: unknown): string | undefined {
  return typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$/.test(value) ? value : undefined;
}

function soundStatus(value: unknown): number | undefined {
  const status = whole(value, 999);
  return status === undefined || status < 100 ? undefined : status;
}

function whole(value: unknown, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max ? value : undefined;
}

function milliseconds(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value < 1e9 ? Math.round(value * 1_000) / 1_000 : undefined;
}
