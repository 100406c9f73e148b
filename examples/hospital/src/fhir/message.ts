/** What the FHIR API takes and gives, apart from any transport: HTTP fills it in, and a bundle makes one for each of its entries. */

export interface FhirRequest {
  readonly method: string;
  /** Below the base, without the query: `/Patient/1`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
  /** The base URL as the caller knows it, for links: no trailing slash. */
  readonly base: string;
  /** `Type/id` of resources the same transaction is about to write; references to them are good. */
  readonly pending?: ReadonlySet<string>;
}

export interface FhirResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Of NDJSON, instead of a body: one resource a line. */
  readonly lines?: readonly unknown[];
  /** A resource, or undefined for no body. */
  readonly body: unknown;
}
