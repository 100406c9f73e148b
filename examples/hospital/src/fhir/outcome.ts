/**
 * Refusals of the FHIR API. A FhirError carries the HTTP status and a FHIR issue type; its text names parameters, types
 * and limits, never a value somebody sent or a record holds.
 */
export type IssueType =
  | 'invalid'
  | 'structure'
  | 'value'
  | 'not-found'
  | 'deleted'
  | 'conflict'
  | 'multiple-matches'
  | 'not-supported'
  | 'too-long'
  | 'business-rule'
  | 'exception';

export class FhirError extends Error {
  override readonly name = 'FhirError';
  readonly status: number;
  readonly code: IssueType;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: IssueType, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function operationOutcome(code: IssueType, diagnostics: string): Record<string, unknown> {
  return { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code, diagnostics }] };
}
