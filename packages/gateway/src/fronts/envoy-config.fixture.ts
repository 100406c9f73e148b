/** For tests only: what a configuration of Envoy may say, by its own API files. Who is told a name that isn't there, or a value of another kind, is told where. */
import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';

import protobuf from 'protobufjs';

import { envoyApiFolders } from './envoy-api.fixture.ts';

const { Enum, MapField, Root, Type } = protobuf;

const extensions = 'envoy/extensions';
const files = [
  'envoy/config/bootstrap/v3/bootstrap.proto',
  `${extensions}/access_loggers/grpc/v3/als.proto`,
  `${extensions}/filters/http/ext_authz/v3/ext_authz.proto`,
  `${extensions}/filters/http/router/v3/router.proto`,
  `${extensions}/filters/network/http_connection_manager/v3/http_connection_manager.proto`,
  `${extensions}/transport_sockets/tls/v3/tls.proto`,
  `${extensions}/upstreams/http/v3/http_protocol_options.proto`,
];

const typePrefix = 'type.googleapis.com/';
const wrapped: Readonly<Record<string, string>> = {
  '.google.protobuf.BoolValue': 'boolean',
  '.google.protobuf.StringValue': 'string',
  '.google.protobuf.UInt32Value': 'number',
  '.google.protobuf.UInt64Value': 'number',
  '.google.protobuf.DoubleValue': 'number',
};

export class EnvoyApi {
  readonly #root: protobuf.Root = new Root();

  constructor() {
    const { resolvePath } = this.#root;
    this.#root.resolvePath = (origin, target) =>
      isAbsolute(target)
        ? target
        : (envoyApiFolders.map((folder) => join(folder, target)).find(existsSync) ?? resolvePath(origin, target));
    this.#root.loadSync(files, { keepCase: true }).resolveAll();
  }

  /** Why the value is no message of that name, each with its place; empty where it is one. */
  faults(name: string, value: unknown, path: readonly string[] = []): readonly string[] {
    const type = this.#lookup(name);
    return type === undefined ? [`${path.join('.')}: no such type ${name}`] : this.#message(type, value, path);
  }

  #lookup(name: string): protobuf.Type | undefined {
    const found = this.#root.lookup(name);
    return found instanceof Type ? found : undefined;
  }

  #message(type: protobuf.Type, value: unknown, path: readonly string[]): readonly string[] {
    const fault = (what: string): readonly string[] => [`${path.join('.')}: ${what}`];
    if (type.fullName === '.google.protobuf.Duration')
      return /^\d+(\.\d+)?s$/.test(String(value)) ? [] : fault('expected a duration');
    const plain = wrapped[type.fullName];
    if (plain !== undefined) return kindFaults(plain, value, path);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return fault('expected an object');
    if (type.fullName === '.google.protobuf.Any') {
      const { '@type': of, ...rest } = value as Record<string, unknown>;
      return this.faults(String(of).replace(typePrefix, ''), rest, path);
    }
    const taken = new Map<protobuf.OneOf, string>();
    return Object.entries(value).flatMap(([key, member]) => {
      const field = type.fields[key];
      if (field === undefined) return fault(`no ${key} in ${type.name}`);
      const other = field.partOf === null ? undefined : taken.get(field.partOf);
      if (other !== undefined) return fault(`${other} and ${key} exclude each other`);
      if (field.partOf !== null) taken.set(field.partOf, key);
      return this.#field(field, member, [...path, key]);
    });
  }

  #field(field: protobuf.Field, value: unknown, path: readonly string[]): readonly string[] {
    if (field instanceof MapField)
      return Object.entries(value as object).flatMap(([key, member]) => this.#one(field, member, [...path, key]));
    if (!field.repeated) return this.#one(field, value, path);
    if (!Array.isArray(value)) return [`${path.join('.')}: expected a list`];
    return value.flatMap((member, at) => this.#one(field, member, [...path, String(at)]));
  }

  #one({ resolvedType, type }: protobuf.Field, value: unknown, path: readonly string[]): readonly string[] {
    if (resolvedType instanceof Type) return this.#message(resolvedType, value, path);
    if (resolvedType instanceof Enum)
      return String(value) in resolvedType.values ? [] : [`${path.join('.')}: ${value} is no ${resolvedType.name}`];
    return kindFaults(
      type === 'bool' ? 'boolean' : type === 'string' || type === 'bytes' ? 'string' : 'number',
      value,
      path,
    );
  }
}

function kindFaults(kind: string, value: unknown, path: readonly string[]): readonly string[] {
  return typeof value === kind ? [] : [`${path.join('.')}: expected a ${kind}`];
}
