/**
 * Every way a request can end without the upstream's answer, in one table, and the bodies that say so: problem details (RFC 9457), or a FHIR OperationOutcome
 * for who asked for FHIR. They hold nothing of the request.
 */
import type { TooLate } from '../capture/corrections.ts';

export interface Refusal {
  readonly status: number;
  readonly title: string;
  /** What to do about it. */
  readonly detail: string;
  /** FHIR issue type. */
  readonly issue: string;
}

export type RefusalCode =
  | 'protocol-violation'
  | 'target-refused'
  | 'target-too-long'
  | 'body-unreadable'
  | 'search-by-post'
  | 'logout-invalid'
  | 'token-missing'
  | 'token-invalid'
  | 'step-up-required'
  | 'forbidden'
  | 'insufficient-scope'
  | 'response-withheld'
  | 'page-refused'
  | 'page-of-another-key'
  | 'purpose-refused'
  | 'break-glass-refused'
  | 'consent-refused'
  | 'address-refused'
  | 'origin-refused'
  | 'not-behind-front'
  | 'blocked'
  | 'not-found'
  | 'method-not-allowed'
  | 'not-acceptable'
  | 'request-timeout'
  | 'page-expired'
  | 'body-too-large'
  | 'unsupported-media-type'
  | 'expectation-failed'
  | 'upgrade-required'
  | 'rate-limited'
  | 'locked-out'
  | 'concurrency-exceeded'
  | 'headers-too-large'
  | 'upstream-unreachable'
  | 'upstream-invalid'
  | 'audit-unavailable'
  | 'outcome-unrecorded'
  | 'identity-unavailable'
  | 'consent-unavailable'
  | 'upstream-unavailable'
  | 'over-capacity'
  | 'upstream-timeout';

export const refusals: Readonly<Record<RefusalCode, Refusal>> = {
  'protocol-violation': {
    status: 400,
    title: 'The request is not sound HTTP',
    detail:
      'The message can be read in more than one way. Send one Host, one length, no folded headers and no body with GET.',
    issue: 'structure',
  },
  'target-refused': {
    status: 400,
    title: 'The request target is not canonical',
    detail:
      'Send the path in its plain form: no dot segments, no needless percent-encoding, no semicolons, no absolute URL.',
    issue: 'structure',
  },
  'target-too-long': {
    status: 414,
    title: 'The request target is too long',
    detail: 'Use POST with _search.',
    issue: 'too-long',
  },
  'body-unreadable': {
    status: 400,
    title: 'The body cannot be read',
    detail: 'Send what Content-Type says, in UTF-8.',
    issue: 'structure',
  },
  'search-by-post': {
    status: 400,
    title: 'What is searched for must not stand in a URL',
    detail: 'Send the parameters as a form: POST to the same path with /_search.',
    issue: 'not-supported',
  },
  'logout-invalid': {
    status: 400,
    title: 'The logout token is not valid',
    detail: 'Post a logout token of an issuer that the configuration names, made just now for this gateway, as a form.',
    issue: 'login',
  },
  'token-missing': {
    status: 401,
    title: 'A token is needed',
    detail: 'Send Authorization: Bearer with an access token.',
    issue: 'login',
  },
  'token-invalid': {
    status: 401,
    title: 'The token is not valid',
    detail: 'Get a new access token from the identity provider, for this API.',
    issue: 'login',
  },
  'step-up-required': {
    status: 401,
    title: 'A better sign-in is needed',
    detail: 'Sign in again as WWW-Authenticate says, and repeat the request with the new token.',
    issue: 'login',
  },
  forbidden: {
    status: 403,
    title: 'Not allowed',
    detail: 'None of your roles allows this interaction. Ask who keeps the policy, if your work needs it.',
    issue: 'forbidden',
  },
  'origin-refused': {
    status: 403,
    title: 'Not from this page',
    detail:
      'The page is of an origin that may not open a WebSocket here. Ask who keeps the gateway to name it in websockets.origins.',
    issue: 'forbidden',
  },
  'upgrade-required': {
    status: 426,
    title: 'This is a WebSocket',
    detail: 'Open it as one: GET with Upgrade: websocket and Sec-WebSocket-Version: 13.',
    issue: 'not-supported',
  },
  'insufficient-scope': {
    status: 403,
    title: 'The token does not cover this',
    detail: 'Ask the identity provider for a SMART scope that covers the interaction.',
    issue: 'forbidden',
  },
  'response-withheld': {
    status: 403,
    title: 'The response was withheld',
    detail: 'It holds something that none of your roles and scopes allows. Ask for less.',
    issue: 'forbidden',
  },
  'page-refused': {
    status: 403,
    title: 'The link to a page cannot be followed',
    detail: 'Follow the links of a Bundle as they stand there, as who got them, and add nothing.',
    issue: 'forbidden',
  },
  'page-of-another-key': {
    status: 403,
    title: 'The link to a page was made with another key',
    detail: 'Begin the search anew. If it was another gateway that made the link: they need the same exports.keyFile.',
    issue: 'forbidden',
  },
  'purpose-refused': {
    status: 403,
    title: 'The purpose of use is not accepted',
    detail: 'Send one of the purposes of use that the policy names.',
    issue: 'forbidden',
  },
  'break-glass-refused': {
    status: 403,
    title: 'The glass stays whole',
    detail: 'Name one of the reasons of the policy and one patient, and ask for that patient only. See docs/policy.md.',
    issue: 'forbidden',
  },
  'consent-refused': {
    status: 403,
    title: 'Consent does not allow it',
    detail: 'The patient has not agreed to this. Ask who keeps consents, if your work needs it.',
    issue: 'forbidden',
  },
  'address-refused': {
    status: 403,
    title: 'Not from here',
    detail: 'Requests from this address are not taken. Ask who operates this gateway, if your work needs it.',
    issue: 'forbidden',
  },
  'not-behind-front': {
    status: 403,
    title: 'It cannot be judged here',
    detail:
      'The decision needs the body or the answer, which this proxy does not show. Ask for less, or ask the gateway itself.',
    issue: 'not-supported',
  },
  blocked: {
    status: 403,
    title: 'Blocked',
    detail: 'Somebody decided that nothing is let through for now. Ask who operates this gateway.',
    issue: 'forbidden',
  },
  'not-found': {
    status: 404,
    title: 'No such route',
    detail: 'Paths are case-sensitive and have no slash at the end.',
    issue: 'not-found',
  },
  'method-not-allowed': {
    status: 405,
    title: 'Method not allowed',
    detail: 'See the Allow header.',
    issue: 'not-supported',
  },
  'not-acceptable': {
    status: 406,
    title: 'Only JSON is served here',
    detail: 'Accept application/fhir+json: what leaves has to be read for the record.',
    issue: 'not-supported',
  },
  'request-timeout': {
    status: 408,
    title: 'The request took too long',
    detail: 'Send it again, faster.',
    issue: 'timeout',
  },
  'page-expired': {
    status: 410,
    title: 'The link to a page has ended',
    detail: 'Search again from the beginning.',
    issue: 'expired',
  },
  'body-too-large': { status: 413, title: 'The body is too large', detail: 'Send less at once.', issue: 'too-long' },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has an unsupported type',
    detail: 'Send application/fhir+json; for _search application/x-www-form-urlencoded.',
    issue: 'not-supported',
  },
  'expectation-failed': {
    status: 417,
    title: 'Expectation not supported',
    detail: 'Send no Expect but 100-continue.',
    issue: 'not-supported',
  },
  'rate-limited': {
    status: 429,
    title: 'Too many requests',
    detail: 'Send the next one after the seconds of Retry-After.',
    issue: 'throttled',
  },
  'locked-out': {
    status: 429,
    title: 'Too many failures',
    detail: 'Nothing is heard from here until the seconds of Retry-After are over.',
    issue: 'throttled',
  },
  'concurrency-exceeded': {
    status: 429,
    title: 'Too many requests at once',
    detail: 'Wait for the answers of those that are under way.',
    issue: 'throttled',
  },
  'headers-too-large': {
    status: 431,
    title: 'The header is too large',
    detail: 'Send fewer and smaller headers.',
    issue: 'too-long',
  },
  'upstream-unreachable': {
    status: 502,
    title: 'The API behind this gateway is down',
    detail: 'Try again later.',
    issue: 'transient',
  },
  'upstream-invalid': {
    status: 502,
    title: 'The API behind this gateway sent something unreadable',
    detail: 'Tell who operates it.',
    issue: 'exception',
  },
  'audit-unavailable': {
    status: 503,
    title: 'The record cannot be written',
    detail: 'Nothing passes unrecorded. Try again later; the operator sees why in the gateway metrics.',
    issue: 'transient',
  },
  'outcome-unrecorded': {
    status: 503,
    title: 'The outcome could not be recorded',
    detail: 'The change may have been made: its intent is on record. Check before you send it again.',
    issue: 'incomplete',
  },
  'identity-unavailable': {
    status: 503,
    title: 'Tokens cannot be checked',
    detail: 'The identity provider does not answer. Try again later.',
    issue: 'transient',
  },
  'consent-unavailable': {
    status: 503,
    title: 'Consent cannot be checked',
    detail: 'Who keeps consents does not answer. Try again later.',
    issue: 'transient',
  },
  'upstream-unavailable': {
    status: 503,
    title: 'The API behind this gateway is down',
    detail: 'It failed too often and is spared for a while. Try again after the seconds of Retry-After.',
    issue: 'transient',
  },
  'over-capacity': { status: 503, title: 'Too much at once', detail: 'Try again in a moment.', issue: 'throttled' },
  'upstream-timeout': {
    status: 504,
    title: 'The API behind this gateway is slow',
    detail: 'Try again later.',
    issue: 'timeout',
  },
};

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Nothing that the gateway itself says is kept, guessed at, framed, or run. */
export const ownAnswerHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** The answer to a refused request. */
export function answerRefusal(
  code: RefusalCode,
  options: {
    readonly accept: string | undefined;
    readonly requestId: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Answer {
  const row = refusals[code];
  const fhir = options.accept?.includes('application/fhir+json') === true;
  const body = Buffer.from(JSON.stringify(fhir ? operationOutcome(code, row) : problem(code, row, options.requestId)));
  return {
    status: row.status,
    headers: {
      'content-type': fhir ? 'application/fhir+json; charset=utf-8' : 'application/problem+json',
      'content-length': String(body.length),
      ...ownAnswerHeaders,
      'x-request-id': options.requestId,
      ...(row.status === 503 && code !== 'outcome-unrecorded' ? { 'retry-after': '2' } : {}),
      ...options.headers,
    },
    body,
  };
}

/** RFC 6750 §3. */
export function bearerChallenge(code: RefusalCode): string {
  if (code === 'token-invalid') return 'Bearer realm="watchglass", error="invalid_token"';
  if (code === 'insufficient-scope') return 'Bearer realm="watchglass", error="insufficient_scope"';
  return 'Bearer realm="watchglass"';
}

function problem(code: RefusalCode, row: Refusal, requestId: string): object {
  const { status, title, detail } = row;
  return { type: `urn:watchglass:error:${code}`, title, status, detail, code, instance: `urn:uuid:${requestId}` };
}

function operationOutcome(code: RefusalCode, row: Refusal): object {
  return {
    resourceType: 'OperationOutcome',
    issue: [
      {
        severity: 'error',
        code: row.issue,
        details: { coding: [{ system: 'urn:watchglass:error', code }], text: row.title },
        diagnostics: row.detail,
      },
    ],
  };
}

/** What stands in the record where it came too late for anything to pass. */
export function tooLateBy(code: 'audit-unavailable' | 'outcome-unrecorded'): TooLate {
  return { code: refusals[code].status, reason: code };
}
