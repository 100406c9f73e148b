/**
 * Figures for Prometheus. Labels are route templates, codes and tenants of the configuration: never a person, a patient or an address.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Tracing } from '../trace/tracing.ts';
import type { ApiDeps } from './server.ts';

export interface Metrics {
  readonly registry: Registry;
  observe(request: {
    readonly method: string;
    readonly route: string;
    readonly status: number;
    readonly seconds: number;
  }): void;
}

export function createMetrics({
  ledger,
  indexes,
  door,
  version,
  witnesses,
  tracing,
}: Pick<ApiDeps, 'ledger' | 'indexes' | 'door' | 'version' | 'witnesses' | 'tracing'>): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  new Gauge({ name: 'watchglass_info', help: 'The version that runs.', labelNames: ['version'], registers }).set(
    { version },
    1,
  );

  new Gauge({
    name: 'watchglass_ledger_writable',
    help: '1 while the ledger takes records, 0 while it is read-only.',
    registers,
    collect() {
      this.set(ledger.state.kind === 'writable' ? 1 : 0);
    },
  });
  new Gauge({
    name: 'watchglass_ledger_size',
    help: 'Leaves in the log of a tenant.',
    labelNames: ['tenant'],
    registers,
    collect() {
      for (const tenant of ledger.tenants()) this.set({ tenant }, ledger.head(tenant).size);
    },
  });
  new Gauge({
    name: 'watchglass_emitter_gaps',
    help: 'Missing numbers in the sequences of emitters, as ranges.',
    labelNames: ['tenant'],
    registers,
    collect() {
      for (const tenant of ledger.tenants()) {
        this.set(
          { tenant },
          ledger.emitters(tenant).reduce((sum, { gaps }) => sum + gaps.length, 0),
        );
      }
    },
  });
  const ledgerFigures = {
    groups: 'Groups committed since the start.',
    events: 'Events appended since the start.',
    duplicates: 'Events that were in the ledger already, since the start.',
    queuedEvents: 'Events waiting for their group.',
    queuedBytes: 'Bytes waiting for their group.',
    lastSyncMs: 'How long the newest fdatasync took, in milliseconds.',
    journalBytes: 'Bytes in the journal.',
  } as const;
  for (const [figure, help] of Object.entries(ledgerFigures) as [keyof typeof ledgerFigures, string][]) {
    new Gauge({
      name: `watchglass_ledger_${snake(figure)}`,
      help,
      registers,
      collect() {
        this.set(ledger.statistics()[figure]);
      },
    });
  }
  new Gauge({
    name: 'watchglass_index_lag_seconds',
    help: 'How long the oldest entry that is not yet indexed has waited.',
    labelNames: ['tenant'],
    registers,
    collect() {
      for (const { tenant, lagMs } of indexes.status()) this.set({ tenant }, lagMs / 1_000);
    },
  });
  new Gauge({
    name: 'watchglass_index_behind_entries',
    help: 'Entries that are in the log and not yet in the index.',
    labelNames: ['tenant'],
    registers,
    collect() {
      for (const { tenant, size, indexed } of indexes.status()) this.set({ tenant }, size - indexed);
    },
  });
  new Gauge({
    name: 'watchglass_intake_accepted',
    help: 'Events stored by the HTTP door since the start.',
    registers,
    collect() {
      this.set(door.statistics().accepted);
    },
  });
  new Gauge({
    name: 'watchglass_intake_refused',
    help: 'Requests refused by the HTTP door since the start, by code.',
    labelNames: ['code'],
    registers,
    collect() {
      for (const [code, count] of Object.entries(door.statistics().refused)) this.set({ code }, count);
    },
  });
  new Gauge({
    name: 'watchglass_intake_bytes_in_flight',
    help: 'Bytes of bodies that are being read or stored.',
    registers,
    collect() {
      this.set(door.statistics().bytesInFlight);
    },
  });

  addWitnessMetrics(registry, witnesses);
  addTimestampMetrics(registry, witnesses);
  if (tracing !== undefined) addSpanMetrics(registry, tracing);

  const requests = new Counter({
    name: 'watchglass_http_requests_total',
    help: 'Requests answered.',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'watchglass_http_request_seconds',
    help: 'Time to answer.',
    labelNames: ['route'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  return {
    registry,
    observe({ method, route, status, seconds }) {
      requests.inc({ method, route, status: String(status) });
      durations.observe({ route }, seconds);
    },
  };
}

function addWitnessMetrics(registry: Registry, witnesses: ApiDeps['witnesses']): void {
  const registers = [registry];
  new Gauge({
    name: 'watchglass_witnessed_size',
    help: 'Size of the newest checkpoint that a quorum of witnesses vouches for.',
    labelNames: ['tenant'],
    registers,
    collect() {
      for (const { tenant, size } of witnesses().logs) this.set({ tenant }, size);
    },
  });
  new Gauge({
    name: 'watchglass_witnessed_age_seconds',
    help: 'How long ago a quorum of witnesses vouched for it; absent while there is none.',
    labelNames: ['tenant'],
    registers,
    collect() {
      this.reset();
      for (const { tenant, ageSeconds } of witnesses().logs)
        if (ageSeconds !== undefined) this.set({ tenant }, ageSeconds);
    },
  });
  new Gauge({
    name: 'watchglass_witness_failures',
    help: 'How often in a row a witness of the policy did not cosign; 0 for one that does.',
    labelNames: ['tenant', 'witness'],
    registers,
    collect() {
      for (const log of witnesses().logs)
        for (const { name, failures } of log.witnesses) this.set({ tenant: log.tenant, witness: name }, failures);
    },
  });
}

function addTimestampMetrics(registry: Registry, witnesses: ApiDeps['witnesses']): void {
  new Gauge({
    name: 'watchglass_timestamped_size',
    help: 'Size of the newest checkpoint that a timestamp authority stamped.',
    labelNames: ['tenant'],
    registers: [registry],
    collect() {
      for (const { tenant, size } of witnesses().timestamps) this.set({ tenant }, size);
    },
  });
  new Gauge({
    name: 'watchglass_timestamped_time_seconds',
    help: 'When it was stamped, seconds since 1970.',
    labelNames: ['tenant'],
    registers: [registry],
    collect() {
      for (const { tenant, timeMs } of witnesses().timestamps) this.set({ tenant }, timeMs / 1_000);
    },
  });
}

function addSpanMetrics(registry: Registry, { fates }: Pick<Tracing, 'fates'>): void {
  new Counter({
    name: 'watchglass_spans_total',
    help: 'Spans of traces, by what became of them.',
    labelNames: ['fate'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [fate, count] of fates) this.inc({ fate }, count);
    },
  });
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
