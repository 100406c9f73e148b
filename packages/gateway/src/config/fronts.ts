/**
 * The section `fronts` of `gateway.yaml`: the doors at which other proxies ask. Anybody who can reach one can ask in anybody's name for any address, so a door is a unix
 * socket, an address of this machine, or asks for a certificate; anything else stops the start.
 */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { DoorSettings, FrontSettings } from '../fronts/fronts.ts';
import { isLoopbackHost } from './address.ts';
import type { ConfigFiles } from './identity.ts';

interface DoorSection {
  readonly socket?: string | undefined;
  readonly host: string;
  readonly port?: number | undefined;
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa: string } | undefined;
}

/** As it stands in the file. */
export interface FrontsSection {
  readonly authz?: DoorSection | undefined;
  readonly spop?: DoorSection | undefined;
  readonly grpc?: DoorSection | undefined;
  readonly outcomes?:
    | { readonly host: string; readonly port?: number | undefined; readonly withinMs: number; readonly openMax: number }
    | undefined;
  readonly searchForms: boolean;
  readonly inFlightMax: number;
}

const port = z.int().min(0).max(65_535);
const door = z.strictObject({
  socket: z.string().min(1).max(100, { error: 'expected a path of at most 100 characters' }).optional(),
  host: z.string().min(1).default('127.0.0.1'),
  port: port.optional(),
  tls: z.strictObject({ cert: z.string(), key: z.string(), clientCa: z.string() }).optional(),
});

export const frontsSchema: z.ZodType<FrontsSection> = z.strictObject({
  authz: door.optional(),
  spop: door.optional(),
  grpc: door.optional(),
  outcomes: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: port.optional(),
      withinMs: z.int().min(100).max(3_600_000).default(60_000),
      openMax: z.int().min(16).max(1_000_000).default(20_000),
    })
    .optional(),
  searchForms: z.boolean().default(false),
  inFlightMax: z.int().min(1).max(100_000).default(1_024),
});

export function readFronts(
  fronts: FrontsSection | undefined,
  { url, files }: { readonly url: string | undefined; readonly files: ConfigFiles },
): FrontSettings | undefined {
  if (fronts === undefined) return undefined;
  const { file } = files;
  const { authz, spop, grpc, outcomes } = fronts;
  const invalid = (what: string): GatewayError => new GatewayError('config-invalid', `${file}: fronts: ${what}`);
  if (authz === undefined && spop === undefined && grpc === undefined)
    throw invalid('expected authz, spop or grpc, got none of them');
  // Proofs of possession are made for it, and no front can be asked what it is.
  if (url === undefined) throw invalid('expected url: at the top, as clients reach the front');
  if (outcomes !== undefined && !isLoopbackHost(outcomes.host))
    throw invalid('expected outcomes.host to be an address of this machine, since datagrams prove nothing');
  if (outcomes !== undefined && outcomes.port === undefined && authz === undefined && grpc === undefined)
    throw invalid('expected outcomes.port, since without authz or grpc there is no other way for them to come');
  const read = (section: DoorSection | undefined, name: string): DoorSettings | undefined => {
    if (section === undefined) return undefined;
    const { socket, host, tls } = section;
    if ((socket === undefined) === (section.port === undefined))
      throw invalid(`expected either ${name}.socket or ${name}.port, got ${socket === undefined ? 'neither' : 'both'}`);
    if (socket !== undefined && tls !== undefined) throw invalid(`expected no ${name}.tls on a unix socket`);
    if (socket === undefined && tls === undefined && !isLoopbackHost(host))
      throw invalid(`expected ${name}.tls: {cert, key, clientCa}, since ${name}.host is not this machine only`);
    return {
      socket: socket === undefined ? undefined : files.from(socket),
      host,
      port: section.port,
      tls:
        tls === undefined
          ? undefined
          : {
              cert: files.read(tls.cert, `fronts.${name}.tls.cert`),
              key: files.read(tls.key, `fronts.${name}.tls.key`),
              clientCa: files.read(tls.clientCa, `fronts.${name}.tls.clientCa`),
            },
    };
  };
  return {
    authz: read(authz, 'authz'),
    spop: read(spop, 'spop'),
    grpc: read(grpc, 'grpc'),
    outcomes: outcomes === undefined ? undefined : { ...outcomes, port: outcomes.port },
    searchForms: fronts.searchForms,
    inFlightMax: fronts.inFlightMax,
  };
}
