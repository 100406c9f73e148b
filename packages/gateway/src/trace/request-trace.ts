/**
 * A request as a trace has it, as far as the rest of the gateway needs to know: what it calls itself to others, and where its phases begin and end. Without tracing there is none, and
 * nothing here costs anything.
 */

export type Phase = 'authenticate' | 'decide' | 'upstream' | 'record';

/** Codes, names and numbers; never who, never about whom. */
export interface PhaseFacts {
  readonly status?: number | undefined;
  /** Why it came to nothing, by its code. */
  readonly fault?: string | undefined;
  /** Whom it was asked of. */
  readonly origin?: string | undefined;
}

export interface RequestTrace {
  /** Of the request itself; it stands in its events (W3C Trace Context §3.2). */
  readonly traceparent: string;
  /** What the API is told, inside of the phase `upstream`. */
  readonly outgoing: string;
  begin(phase: Phase): void;
  /** More than once does no harm, nor does a phase that never began. */
  finish(phase: Phase, facts?: PhaseFacts): void;
  /** What is known of it by now; later words hold. */
  note(facts: {
    readonly route?: string | undefined;
    readonly interaction?: string | undefined;
    readonly status?: number;
    readonly refusal?: string;
  }): void;
  end(): void;
}

export interface RequestTracer {
  begin(request: {
    readonly traceparent: string | string[] | undefined;
    readonly method: string;
    readonly auditId: string;
  }): RequestTrace;
}

/** Does some work as a phase. `say` tells of its result. */
export function within<T>(
  trace: RequestTrace | undefined,
  phase: Phase,
  work: () => T | Promise<T>,
  say?: (result: T) => PhaseFacts,
): T | Promise<T> {
  return trace === undefined ? work() : traced(trace, phase, work, say);
}

async function traced<T>(
  trace: RequestTrace,
  phase: Phase,
  work: () => T | Promise<T>,
  say: ((result: T) => PhaseFacts) | undefined,
): Promise<T> {
  trace.begin(phase);
  try {
    const result = await work();
    trace.finish(phase, say?.(result));
    return result;
  } catch (error) {
    trace.finish(phase, { fault: 'refused' });
    throw error;
  }
}
