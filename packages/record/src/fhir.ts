/** The part of FHIR R4 (hl7.org/fhir/R4/auditevent.html) that `toFhir` writes. */

export interface Coding {
  readonly system: string;
  readonly code: string;
  readonly display?: string;
}

export interface CodeableConcept {
  readonly coding?: readonly Coding[];
  readonly text?: string;
}

export interface Identifier {
  readonly system?: string;
  readonly value: string;
}

export interface Extension {
  readonly url: string;
  readonly valueCode: string;
}

export interface Reference {
  readonly reference?: string;
  readonly type?: string;
  readonly identifier?: Identifier;
  readonly display?: string;
}

export interface AuditEventNetwork {
  readonly extension?: readonly Extension[];
  readonly address?: string;
  /** 1 machine name, 2 IP address, 5 URI. */
  readonly type?: '1' | '2' | '5';
}

export interface AuditEventAgent {
  readonly type: CodeableConcept;
  readonly role?: readonly CodeableConcept[];
  readonly who: Reference;
  readonly requestor: boolean;
  readonly policy?: readonly string[];
  readonly network?: AuditEventNetwork;
}

export interface AuditEventDetail {
  readonly type: string;
  readonly valueString: string;
}

export interface AuditEventEntity {
  readonly what?: Reference;
  readonly type: Coding;
  readonly role?: Coding;
  readonly description?: string;
  /** base64 */
  readonly query?: string;
  readonly detail?: readonly AuditEventDetail[];
}

export interface OperationOutcome {
  readonly resourceType: 'OperationOutcome';
  readonly id: string;
  readonly issue: readonly {
    readonly severity: 'error';
    readonly code: string;
    readonly details?: CodeableConcept;
  }[];
}

export interface AuditEvent {
  readonly resourceType: 'AuditEvent';
  readonly id: string;
  readonly meta: { readonly profile: readonly string[] };
  readonly contained?: readonly OperationOutcome[];
  readonly type: Coding;
  readonly subtype?: readonly Coding[];
  readonly action: 'C' | 'R' | 'U' | 'D' | 'E';
  readonly recorded: string;
  readonly outcome: '0' | '4' | '8' | '12';
  readonly outcomeDesc?: string;
  readonly purposeOfEvent?: readonly CodeableConcept[];
  readonly agent: readonly AuditEventAgent[];
  readonly source: { readonly site?: string; readonly observer: Reference; readonly type: readonly Coding[] };
  readonly entity?: readonly AuditEventEntity[];
}
