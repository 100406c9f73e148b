/**
 * What a front asks about, whichever front it is: the request as its client sent it, in one shape. Only what is named here reaches the decision; what else a
 * client says about who it is, or about its own request, doesn't.
 */
import { IncomingMessage } from 'node:http';
import { plainAddress } from '@watchglass/record/source';
import { type Captured, capture } from '../capture/capture.ts';
import type { Policy } from '../policy/tables.ts';

export const frontNames = ['nginx', 'forward', 'envoy', 'grpc', 'haproxy'] as const;
export type FrontName = (typeof frontNames)[number];

export interface Asked {
  readonly front: FrontName;
  readonly method: string;
  /** As it stood in the request line. */
  readonly rawTarget: string;
  readonly host: string | undefined;
  readonly scheme: 'http' | 'https' | undefined;
  readonly peerIp: string | undefined;
  readonly authorization: string | undefined;
  readonly dpop: string | undefined;
  /** Of the client's certificate, checked by the front: `x5t#S256`. */
  readonly clientCert: string | undefined;
  /** Made by the front: what its log is joined by. */
  readonly requestId: string | undefined;
  /** The other fields that decide something, by their lower-case names. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Fields of the client that decide something or are recorded, besides those that have a place of their own. */
const decidingFields: readonly string[] = [
  'accept',
  'content-encoding',
  'content-length',
  'content-type',
  'if-none-exist',
  'traceparent',
  'transfer-encoding',
  'user-agent',
  'x-provenance',
];

const fieldsByPolicy = new WeakMap<Policy, readonly string[]>();

/** The same, and those that the policy in force names. */
export function fieldsAskedFor(policy: Policy): readonly string[] {
  const known = fieldsByPolicy.get(policy);
  if (known !== undefined) return known;
  const { purposeOfUse, breakGlass } = policy;
  const fields = [
    ...decidingFields,
    ...(purposeOfUse === undefined ? [] : [purposeOfUse.header]),
    ...(breakGlass === undefined ? [] : [breakGlass.patientHeader, breakGlass.reasonHeader]),
  ].map((name) => name.toLowerCase());
  fieldsByPolicy.set(policy, fields);
  return fields;
}

/** The request as admission judges it: a message of node:http that came over no connection and has no body. */
export function messageOf(asked: Asked): IncomingMessage {
  const headers: Record<string, string> = { ...asked.fields };
  if (asked.host !== undefined) headers.host = asked.host;
  if (asked.authorization !== undefined) headers.authorization = asked.authorization;
  if (asked.dpop !== undefined) headers.dpop = asked.dpop;
  // All that node:http and admission ask of a connection is whose it is.
  const line = { remoteAddress: asked.peerIp, readableHighWaterMark: 16_384, destroyed: false, writable: true };
  const message = new IncomingMessage(line as unknown as ConstructorParameters<typeof IncomingMessage>[0]);
  message.httpVersion = '1.1';
  message.httpVersionMajor = 1;
  message.httpVersionMinor = 1;
  message.method = asked.method;
  message.url = asked.rawTarget;
  message.headers = headers;
  message.rawHeaders = Object.entries(headers).flat();
  message.complete = true;
  return message;
}

/** A request id as fronts make them; anything else gets one of ours. */
const requestIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$/;

export function captureAsked(
  asked: Asked,
  message: IncomingMessage,
  {
    newId,
    auditId,
    site,
    knownParameters,
    knownOperations,
  }: {
    readonly newId: () => string;
    readonly auditId: string;
    readonly site: string | undefined;
    readonly knownParameters: ReadonlySet<string>;
    readonly knownOperations: ReadonlySet<string>;
  },
): Captured {
  const { requestId, clientCert } = asked;
  const captured = capture(message, {
    id: requestId !== undefined && requestIdPattern.test(requestId) ? requestId : newId(),
    auditId,
    timeMs: Date.now(),
    address: plainAddress(asked.peerIp),
    site,
    knownParameters,
    knownOperations,
  });
  if (clientCert === undefined) return captured;
  return {
    ...captured,
    certificate: clientCert,
    source: { ...captured.source, device: `x5t-S256:${clientCert}` },
  };
}
