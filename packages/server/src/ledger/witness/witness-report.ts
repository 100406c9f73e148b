/** How the logs stand with their witnesses, for health, metrics, status and the console: sizes, ages and codes, nothing of an event. */
import type { TimestampStatus } from '../timestamps/timestamping.ts';
import type { TenantWitnessStatus } from './tenant-witnessing.ts';

export interface WitnessReport {
  /** Whether the server is not ready while a log is not `witnessed`. */
  readonly strict: boolean;
  /** Those that have a policy. */
  readonly logs: readonly WitnessedLog[];
  /** The newest timestamp of each log that has one. */
  readonly timestamps: readonly TimestampStatus[];
}

export interface WitnessedLog {
  readonly tenant: string;
  /** `witnessed`: a quorum vouches for a young enough checkpoint; `old`: for an older one; `none`: for none. */
  readonly state: 'witnessed' | 'old' | 'none';
  /** Of the newest checkpoint a quorum vouches for. */
  readonly size: number;
  /** Leaves behind it. */
  readonly behind: number;
  /** How many witnesses cosigned it. */
  readonly cosignatures: number;
  /** Since when, or later, the quorum vouches for it. */
  readonly time?: string;
  readonly ageSeconds?: number;
  readonly witnesses: readonly {
    readonly name: string;
    readonly size: number;
    readonly failures: number;
    /** A code of docs/errors.md. */
    readonly fault?: string;
    readonly reason?: string;
  }[];
}

export function witnessReport(
  status: readonly TenantWitnessStatus[],
  timestamps: readonly TimestampStatus[],
  { strict, ageSecondsMax }: { readonly strict: boolean; readonly ageSecondsMax: number },
  nowMs: number,
): WitnessReport {
  const logs = status.map(({ tenant, cosigned, headSize, witnesses }): WitnessedLog => {
    const ageSeconds =
      cosigned === undefined ? undefined : Math.max(0, Math.floor(nowMs / 1000) - cosigned.timeSeconds);
    return {
      tenant,
      state: ageSeconds === undefined ? 'none' : ageSeconds <= ageSecondsMax ? 'witnessed' : 'old',
      size: cosigned?.size ?? 0,
      behind: headSize - (cosigned?.size ?? 0),
      cosignatures: cosigned?.witnesses ?? 0,
      ...(cosigned === undefined || ageSeconds === undefined
        ? {}
        : { time: new Date(cosigned.timeSeconds * 1000).toISOString(), ageSeconds }),
      witnesses: witnesses.map(({ name, size, failures, fault }) => ({
        name,
        size,
        failures,
        ...(fault === undefined ? {} : { fault: fault.code, reason: fault.message }),
      })),
    };
  });
  return { strict, logs, timestamps };
}
