/** For tests only: Envoy's own API files, as the package for xDS of the gRPC project ships them, so that nothing is tested against our own reading of them. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import {
  type ChannelCredentials,
  type Client,
  type ClientWritableStream,
  credentials,
  loadPackageDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const shipped = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps');

/** Where an `import` of the API's files is looked for. */
export const envoyApiFolders: readonly string[] = [
  join(shipped, 'envoy-api'),
  join(shipped, 'googleapis'),
  join(shipped, 'protoc-gen-validate'),
  join(shipped, 'xds'),
];

interface Header {
  readonly header: { readonly key: string; readonly value: string };
  readonly append_action: string;
}

/** What a test asks of a check's answer. */
export interface Checked {
  readonly status: { readonly code: number };
  readonly ok_response?: {
    readonly headers: readonly Header[];
    readonly headers_to_remove: readonly string[];
    readonly response_headers_to_add: readonly Header[];
  };
  readonly denied_response?: {
    readonly status: { readonly code: number | string };
    readonly headers: readonly Header[];
    readonly body: string;
  };
  readonly dynamic_metadata: { readonly fields: Readonly<Record<string, { readonly stringValue?: string }>> };
}

type Answer<T> = (error: ServiceError | null, value: T) => void;

export interface Authorization extends Client {
  Check(request: object, options: object, answer: Answer<Checked>): void;
}

export interface AccessLog extends Client {
  StreamAccessLogs(answer: Answer<object>): ClientWritableStream<object>;
}

type Constructor<T> = new (address: string, credentials: ChannelCredentials, options?: object) => T;

const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
const definitions = loadSync(['envoy/service/auth/v3/external_auth.proto', 'envoy/service/accesslog/v3/als.proto'], {
  ...options,
  includeDirs: [...envoyApiFolders],
});
const { service } = loadPackageDefinition(definitions).envoy as unknown as {
  readonly service: {
    readonly auth: { readonly v3: { readonly Authorization: Constructor<Authorization> } };
    readonly accesslog: { readonly v3: { readonly AccessLogService: Constructor<AccessLog> } };
  };
};

/** Clients as Envoy has them, for a door at this address. */
export function envoyAt(
  address: string,
  channel: ChannelCredentials = credentials.createInsecure(),
): { readonly authorization: Authorization; readonly accessLog: AccessLog } & Disposable {
  const authorization = new service.auth.v3.Authorization(address, channel);
  const accessLog = new service.accesslog.v3.AccessLogService(address, channel);
  return {
    authorization,
    accessLog,
    [Symbol.dispose]() {
      authorization.close();
      accessLog.close();
    },
  };
}

/** Within five seconds; rejects with the error of the call. */
export function check(authorization: Authorization, request: object, deadlineMs = 5_000): Promise<Checked> {
  return new Promise((resolve, reject) => {
    authorization.Check(request, { deadline: Date.now() + deadlineMs }, (error, value) =>
      error === null ? resolve(value) : reject(error),
    );
  });
}
