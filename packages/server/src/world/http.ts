/**
 * Asking others over HTTP: one request, one bounded answer, one deadline, and no redirect followed. The real one is `real-http.ts`; it is handed to who needs
 * it, so that a test can answer as it likes.
 */
export interface Http {
  /** Resolves with whatever status came. @throws HttpFailure */
  ask(request: HttpRequest): Promise<HttpAnswer>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly contentType?: string;
  readonly body?: string | Uint8Array;
  /** Of the answer's body. */
  readonly bytesMax: number;
  /** For all of it, the body included. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** As it came; empty for none. */
  readonly contentType: string;
  readonly body: Uint8Array;
}

export type HttpFailureKind = 'unreachable' | 'deadline' | 'too-large' | 'aborted';

/** Why there is no answer. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly kind: HttpFailureKind;

  constructor(kind: HttpFailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}
