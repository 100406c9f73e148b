/**
 * The answers of a bulk export: where the upstream says how it goes and where its files lie, the client is told a way through the gateway. An answer that points where nobody
 * configured is not passed on.
 */
import { type ExportLink, type ExportLinks, exportSegment, isExportLink } from '../exposure/export-links.ts';
import type { Learned } from '../exposure/exposure.ts';
import { LineReader } from '../exposure/line-reader.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import { isObject } from '../fhir/reference.ts';
import { parseUtf8, stringifyShallow } from '../http/one-reading.ts';
import type { HeldBeginning, HeldWhole } from './forward.ts';

export interface ExportSeal {
  readonly links: ExportLinks;
  /** Whose export it is. */
  readonly actor: string;
  /** The gateway's, as clients reach it. */
  readonly publicUrl: URL;
  /** What relative links are relative to. */
  readonly upstreamUrl: string;
}

export function isExport({ operation }: Interaction): boolean {
  return operation === '$export' || operation.startsWith('export-');
}

/** With the gateway's links in place of the upstream's; undefined where one of them can't be followed through it. */
export function throughGateway<T extends HeldWhole | HeldBeginning>(
  held: T,
  interaction: Interaction,
  seal: ExportSeal,
): T | HeldWhole | undefined {
  if (!isExport(interaction)) return held;
  const prefix = interaction.route.slice(
    0,
    interaction.route.search(/\/(?:(?:Patient|Group\/\{id\})\/)?\$export$|\/_export\//),
  );
  const own = (kind: ExportLink['kind'], url: unknown): string | undefined => {
    const link = { kind, url: atUpstream(String(url), seal), actor: seal.actor, type: interaction.type };
    const base = isExportLink(interaction) ? interaction.link.url : seal.upstreamUrl;
    const sealed = typeof url === 'string' ? seal.links.seal(link, base) : undefined;
    const publicBase = seal.publicUrl.href.replace(/\/+$/, '');
    return sealed === undefined ? undefined : `${publicBase}${prefix}/${exportSegment}/${sealed}`;
  };
  // A redirect leads past the gateway.
  if (held.status >= 300 && held.status < 400 && held.status !== 304) return undefined;
  if (isFileElsewhere(interaction, seal)) return fileAlone(held);
  const { 'content-location': contentLocation, ...headers } = held.headers;
  const location = contentLocation === undefined ? undefined : own('status', contentLocation);
  if (contentLocation !== undefined && location === undefined) return undefined;
  const moved = { ...held, headers: location === undefined ? headers : { ...headers, 'content-location': location } };
  if (interaction.operation !== 'export-status' || held.status !== 200) return moved;
  const body = held.kind === 'whole' ? manifest(held.body, own) : undefined;
  return body === undefined ? undefined : { ...moved, kind: 'whole', body };
}

function isFileElsewhere(interaction: Interaction, { upstreamUrl }: ExportSeal): boolean {
  if (!isExportLink(interaction) || interaction.link.kind !== 'file') return false;
  return new URL(interaction.link.url).origin !== new URL(upstreamUrl).origin;
}

/** What a store says besides its files is about itself: how they may be cached, and in its errors where they lie. */
function fileAlone<T extends HeldWhole | HeldBeginning>(held: T): T | HeldWhole {
  const headers = Object.fromEntries(Object.entries(held.headers).filter(([name]) => fileFields.has(name)));
  if (held.status < 400) return { ...held, headers };
  if (held.kind === 'beginning') held.abandon();
  return { kind: 'whole', status: held.status, headers: {}, body: Buffer.alloc(0) };
}

const fileFields: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-type',
  'etag',
  'last-modified',
]);

/** An API that heeds `X-Forwarded-Host` names its own paths as clients would. */
function atUpstream(url: string, { publicUrl, upstreamUrl }: ExportSeal): string {
  return url.startsWith(`${publicUrl.origin}/`)
    ? new URL(upstreamUrl).origin + url.slice(publicUrl.origin.length)
    : url;
}

/** Bulk Data Access 2.0, "Complete Status": `output`, `deleted` and `error` name files, `link` more of the manifest. */
function manifest(
  bytes: Buffer,
  own: (kind: ExportLink['kind'], url: unknown) => string | undefined,
): Buffer | undefined {
  const value = parseUtf8(bytes);
  if (!isObject(value)) return undefined;
  const { request: _request, ...rest } = value;
  const out: Record<string, unknown> = { ...rest, requiresAccessToken: true };
  for (const name of ['output', 'deleted', 'error', 'link'] as const) {
    const list = value[name];
    if (list === undefined) continue;
    if (!Array.isArray(list)) return undefined;
    const moved: unknown[] = [];
    for (const item of list) {
      const url = isObject(item) ? own(name === 'link' ? 'status' : 'file', item.url) : undefined;
      if (url === undefined) return undefined;
      moved.push({ ...item, url });
    }
    out[name] = moved;
  }
  const text = stringifyShallow(out);
  return text === undefined ? undefined : Buffer.from(text);
}

/** Of a file: whatever its upstream calls it, it is NDJSON, and it may have been stored compressed. */
export function asFile<T extends HeldWhole | HeldBeginning>(held: T): T {
  const bytes = held.kind === 'whole' ? held.body : held.beginning;
  const gzip = held.headers['content-encoding'] === undefined && bytes[0] === 0x1f && bytes[1] === 0x8b;
  const encoding = gzip ? { 'content-encoding': 'gzip' } : {};
  return { ...held, headers: { ...held.headers, ...encoding, 'content-type': 'application/fhir+ndjson' } };
}

/** Of a whole file: packed, it may be far larger than what is held. */
export async function learnFile(held: HeldWhole, lineBytesMax: number): Promise<Learned | undefined> {
  const { headers, body } = asFile(held);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') return undefined;
  const reader = new LineReader({ lineBytesMax, gzip: encoding === 'gzip' });
  await reader.push(body);
  const learned = await reader.finish(true);
  return { ...learned, exposure: { ...learned.exposure, bytes: body.length } };
}

/** Reads on behind what `learnFromHeld` could read of a beginning. Undefined for what it can't read. */
export function readOn(held: HeldBeginning, lineBytesMax: number): LineReader | undefined {
  const { beginning, headers } = asFile(held);
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') return undefined;
  const gzip = encoding === 'gzip';
  const reader = new LineReader({ lineBytesMax, gzip });
  void reader.push(gzip ? beginning : beginning.subarray(beginning.lastIndexOf(0x0a) + 1));
  return reader;
}

/** A manifest tells about the export, and about nobody. */
export function learnedNothing(bytes: number): Learned {
  const nothing = { types: new Set<string>(), classes: new Map(), unattributed: false, unread: false };
  return { exposure: { count: 0, bytes }, targets: [], ...nothing };
}
