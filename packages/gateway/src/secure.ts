/**
 * The gateway's own certificates: which it shows to clients and to the API behind it, exchanged while it runs, and what is to be said about them: an event and
 * a line of the log for each change, a metric for the end that comes, readiness for the end that came.
 */
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:tls';

import type { Logger } from 'pino';
import { buildConnector } from 'undici';

import { type Own, ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { firstUpstream, type UpstreamConfig } from './config/upstream.ts';
import {
  type CertificateMaterial,
  type CertificateNews,
  tlsRules,
  WatchedCertificate,
} from './identity/own-certificate.ts';
import type { Metrics } from './watch/metrics.ts';

const hstsSeconds = 31_536_000;

/** What goes on every answer. A browser takes it for all ports of a name, so not for this machine's own (RFC 6797 §8.3; addresses it ignores anyway). */
export function securityHeadersOf(publicUrl: URL): Readonly<Record<string, string>> {
  const { protocol, hostname } = publicUrl;
  const named =
    /[a-z]/i.test(hostname.split('.').at(-1) ?? '') && hostname !== 'localhost' && !hostname.endsWith('.localhost');
  return protocol === 'https:' && named ? { 'strict-transport-security': `max-age=${hstsSeconds}` } : {};
}

export interface UpstreamConnector {
  readonly connect: buildConnector.connector;
  /** Shows another certificate on connections from now on. */
  show(material: CertificateMaterial): void;
}

function makeUpstreamConnector(upstream: UpstreamConfig): UpstreamConnector {
  const build = (shown: CertificateMaterial | undefined): buildConnector.connector =>
    buildConnector({
      allowH2: false,
      timeout: Math.min(upstream.timeoutMs, 5_000),
      ...(upstream.ca === undefined ? {} : { ca: upstream.ca }),
      ...(shown === undefined ? {} : { cert: shown.cert, key: shown.key }),
    });
  let current = build(upstream.certificate?.current);
  return {
    connect: (options, callback) => current(options, callback),
    show(material) {
      current = build(material);
    },
  };
}

/** Of each upstream, by its name. */
export function connectorsOf(config: GatewayConfig): ReadonlyMap<string, UpstreamConnector> {
  const upstreams = [[firstUpstream, config.upstream] as const, ...config.upstreams];
  return new Map(upstreams.map(([name, upstream]) => [name, makeUpstreamConnector(upstream)]));
}

/**
 * Watches the files of the listener and of the upstreams, whose `connectors` stand by their names. The problems are those of readiness. Where many processes show the same certificates one tells for all: a primary, which
 * has no listener to show any on.
 */
export function watchCertificates(
  config: GatewayConfig,
  parts: {
    readonly server?: Server | undefined;
    readonly connectors?: ReadonlyMap<string, UpstreamConnector> | undefined;
    /** Another process tells what becomes of them. */
    readonly quiet?: boolean | undefined;
    readonly recorder: Recorder;
    readonly logger: Logger;
    readonly metrics: Metrics;
  },
): Disposable & { problems(): readonly string[] } {
  using stack = new DisposableStack();
  const { server, connectors, metrics, quiet = false } = parts;
  const { tls } = config;
  const everyMs = tls?.reloadEveryMs ?? 10_000;
  const watch = (
    name: string,
    options: Omit<ConstructorParameters<typeof WatchedCertificate>[0], 'everyMs' | 'onNews'>,
  ): WatchedCertificate => {
    const onNews = (news: CertificateNews): void => {
      if (!quiet) tell(config, name, news, parts);
    };
    const watched = stack.use(new WatchedCertificate({ ...options, everyMs, onNews }));
    metrics.watch(
      `watchglass_gateway_${name.replace(/\W/g, '_')}_certificate_expires_seconds`,
      'When the certificate is over, in seconds since 1970',
      () => watched.expiresMs / 1_000,
      'min',
    );
    if (watched.expiresMs <= Date.now()) onNews({ kind: 'refused', fault: 'expired' });
    return watched;
  };
  const listener =
    tls === undefined
      ? undefined
      : watch('listener', {
          files: tls.files,
          current: { cert: tls.cert, key: tls.key, ca: tls.ca },
          apply: ({ cert, key, ca }) => {
            if (server instanceof TlsServer)
              server.setSecureContext({ ...tlsRules, cert, key, ...(ca === undefined ? {} : { ca }) });
          },
        });
  for (const [name, { certificate }] of [[firstUpstream, config.upstream] as const, ...config.upstreams]) {
    const of = name === firstUpstream ? name : `${firstUpstream}-${name}`;
    if (certificate !== undefined)
      watch(of, { ...certificate, apply: (material) => connectors?.get(name)?.show(material) });
  }
  const moved = stack.move();
  return {
    problems: () => (listener !== undefined && listener.expiresMs <= Date.now() ? ['certificate-expired'] : []),
    [Symbol.dispose]: () => moved.dispose(),
  };
}

function tell(
  own: Own,
  name: string,
  news: CertificateNews,
  { logger, recorder }: { readonly logger: Logger; readonly recorder: Recorder },
): void {
  const target = { type: 'Certificate', id: name };
  if (news.kind === 'replaced') {
    logger.info(
      { certificate: name, expires: new Date(news.expiresMs).toISOString() },
      'another certificate is shown from now on',
    );
    void recorder.record([ownEvent(own, { operation: 'certificate-replaced', status: 'success', target })]);
    return;
  }
  logger.error(
    { certificate: name, fault: news.fault },
    'the certificate in the files cannot be used; the one in use stays',
  );
  void recorder.record([
    ownEvent(own, { operation: 'certificate-refused', status: 'failed', reason: news.fault, target }),
  ]);
}
