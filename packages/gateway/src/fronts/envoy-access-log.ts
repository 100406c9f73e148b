/**
 * How a request ended, as Envoy's access log service says it. The audit id comes from the metadata that the decision's own answer gave: no client can write there, as it can into a field.
 */
import { type Outcome, outcomeOf } from './outcome-lines.ts';

/** As decoded: what isn't said isn't there. */
export interface AccessLogMessage {
  readonly http_logs?: { readonly log_entry?: readonly AccessLogEntry[] };
}

interface AccessLogEntry {
  readonly common_properties?: {
    readonly duration?: Duration;
    readonly time_to_last_downstream_tx_byte?: Duration;
    readonly upstream_remote_address?: object;
    readonly metadata?: {
      readonly filter_metadata?: Readonly<
        Record<string, { readonly fields?: Readonly<Record<string, { readonly string_value?: string }>> }>
      >;
    };
    /** A name, or the number of one that isn't named here. */
    readonly access_log_type?: string | number;
  };
  readonly request?: { readonly request_id?: string };
  readonly response?: { readonly response_code?: { readonly value?: number }; readonly response_body_bytes?: number };
}

interface Duration {
  readonly seconds?: number;
  readonly nanos?: number;
}

const meanwhile: ReadonlySet<unknown> = new Set(['DownstreamStart', 'DownstreamPeriodic']);
const metadataName = 'envoy.filters.http.ext_authz';

/** Of requests that are over. */
export function outcomesOf({ http_logs }: AccessLogMessage): readonly Outcome[] {
  return (http_logs?.log_entry ?? [])
    .filter(({ common_properties }) => !meanwhile.has(common_properties?.access_log_type))
    .map(({ common_properties: common = {}, request, response }) => {
      const { duration = common.time_to_last_downstream_tx_byte } = common;
      return outcomeOf({
        auditId: common.metadata?.filter_metadata?.[metadataName]?.fields?.audit_id?.string_value,
        requestId: request?.request_id,
        // 0 where the client left before an answer.
        status: response?.response_code?.value,
        bytes: response?.response_body_bytes ?? 0,
        ms: duration === undefined ? undefined : (duration.seconds ?? 0) * 1_000 + (duration.nanos ?? 0) / 1e6,
        passed: common.upstream_remote_address !== undefined,
      });
    });
}
