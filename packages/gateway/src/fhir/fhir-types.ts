/**
 * The resource types of FHIR R4 (4.0.1), what kind of information each holds, and which of them are in the patient compartment,
 * that is: about somebody.
 */
import type { DataClass } from '@watchglass/record';

const classOfType = {
  Account: 'billing',
  ActivityDefinition: 'other',
  AdverseEvent: 'conditions',
  AllergyIntolerance: 'allergies',
  Appointment: 'appointments',
  AppointmentResponse: 'appointments',
  AuditEvent: 'other',
  Basic: 'other',
  Binary: 'documents',
  BiologicallyDerivedProduct: 'other',
  BodyStructure: 'conditions',
  Bundle: 'other',
  CapabilityStatement: 'other',
  CarePlan: 'care-plans',
  CareTeam: 'care-plans',
  CatalogEntry: 'other',
  ChargeItem: 'billing',
  ChargeItemDefinition: 'other',
  Claim: 'billing',
  ClaimResponse: 'billing',
  ClinicalImpression: 'notes',
  CodeSystem: 'other',
  Communication: 'notes',
  CommunicationRequest: 'notes',
  CompartmentDefinition: 'other',
  Composition: 'documents',
  ConceptMap: 'other',
  Condition: 'conditions',
  Consent: 'consents',
  Contract: 'billing',
  Coverage: 'billing',
  CoverageEligibilityRequest: 'billing',
  CoverageEligibilityResponse: 'billing',
  DetectedIssue: 'conditions',
  Device: 'other',
  DeviceDefinition: 'other',
  DeviceMetric: 'other',
  DeviceRequest: 'procedures',
  DeviceUseStatement: 'procedures',
  DiagnosticReport: 'results',
  DocumentManifest: 'documents',
  DocumentReference: 'documents',
  EffectEvidenceSynthesis: 'other',
  Encounter: 'encounters',
  Endpoint: 'other',
  EnrollmentRequest: 'billing',
  EnrollmentResponse: 'billing',
  EpisodeOfCare: 'encounters',
  EventDefinition: 'other',
  Evidence: 'other',
  EvidenceVariable: 'other',
  ExampleScenario: 'other',
  ExplanationOfBenefit: 'billing',
  FamilyMemberHistory: 'conditions',
  Flag: 'conditions',
  Goal: 'care-plans',
  GraphDefinition: 'other',
  Group: 'other',
  GuidanceResponse: 'other',
  HealthcareService: 'other',
  ImagingStudy: 'images',
  Immunization: 'immunizations',
  ImmunizationEvaluation: 'immunizations',
  ImmunizationRecommendation: 'immunizations',
  ImplementationGuide: 'other',
  InsurancePlan: 'other',
  Invoice: 'billing',
  Library: 'other',
  Linkage: 'other',
  List: 'other',
  Location: 'other',
  Measure: 'other',
  MeasureReport: 'other',
  Media: 'images',
  Medication: 'medications',
  MedicationAdministration: 'medications',
  MedicationDispense: 'medications',
  MedicationKnowledge: 'other',
  MedicationRequest: 'medications',
  MedicationStatement: 'medications',
  MedicinalProduct: 'other',
  MedicinalProductAuthorization: 'other',
  MedicinalProductContraindication: 'other',
  MedicinalProductIndication: 'other',
  MedicinalProductIngredient: 'other',
  MedicinalProductInteraction: 'other',
  MedicinalProductManufactured: 'other',
  MedicinalProductPackaged: 'other',
  MedicinalProductPharmaceutical: 'other',
  MedicinalProductUndesirableEffect: 'other',
  MessageDefinition: 'other',
  MessageHeader: 'other',
  MolecularSequence: 'genomics',
  NamingSystem: 'other',
  NutritionOrder: 'care-plans',
  Observation: 'results',
  ObservationDefinition: 'other',
  OperationDefinition: 'other',
  OperationOutcome: 'other',
  Organization: 'other',
  OrganizationAffiliation: 'other',
  Parameters: 'other',
  Patient: 'demographics',
  PaymentNotice: 'billing',
  PaymentReconciliation: 'billing',
  Person: 'demographics',
  PlanDefinition: 'other',
  Practitioner: 'other',
  PractitionerRole: 'other',
  Procedure: 'procedures',
  Provenance: 'other',
  Questionnaire: 'other',
  QuestionnaireResponse: 'notes',
  RelatedPerson: 'demographics',
  RequestGroup: 'care-plans',
  ResearchDefinition: 'other',
  ResearchElementDefinition: 'other',
  ResearchStudy: 'other',
  ResearchSubject: 'other',
  RiskAssessment: 'conditions',
  RiskEvidenceSynthesis: 'other',
  Schedule: 'appointments',
  SearchParameter: 'other',
  ServiceRequest: 'procedures',
  Slot: 'appointments',
  Specimen: 'results',
  SpecimenDefinition: 'other',
  StructureDefinition: 'other',
  StructureMap: 'other',
  Subscription: 'other',
  Substance: 'other',
  SubstanceNucleicAcid: 'other',
  SubstancePolymer: 'other',
  SubstanceProtein: 'other',
  SubstanceReferenceInformation: 'other',
  SubstanceSourceMaterial: 'other',
  SubstanceSpecification: 'other',
  SupplyDelivery: 'other',
  SupplyRequest: 'other',
  Task: 'care-plans',
  TerminologyCapabilities: 'other',
  TestReport: 'other',
  TestScript: 'other',
  ValueSet: 'other',
  VerificationResult: 'other',
  VisionPrescription: 'procedures',
} as const satisfies Readonly<Record<string, DataClass>>;

/** Types that are about a patient (R4 CompartmentDefinition/patient): without a patient in them something is missing. */
const patientCompartment: ReadonlySet<string> = new Set(
  `Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic BodyStructure CarePlan CareTeam ChargeItem Claim
  ClaimResponse ClinicalImpression Communication CommunicationRequest Composition Condition Consent Coverage CoverageEligibilityRequest
  CoverageEligibilityResponse DetectedIssue DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Encounter
  EnrollmentRequest EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Flag Goal Group ImagingStudy Immunization ImmunizationEvaluation
  ImmunizationRecommendation Invoice List MeasureReport Media MedicationAdministration MedicationDispense MedicationRequest MedicationStatement
  MolecularSequence NutritionOrder Observation Patient Person Procedure Provenance QuestionnaireResponse RelatedPerson RequestGroup
  ResearchSubject RiskAssessment Schedule ServiceRequest Specimen SupplyDelivery SupplyRequest VisionPrescription`.split(
    /\s+/,
  ),
);

/** Of those, the ones that are often about nobody: a free slot, a list of rooms, a message between offices. */
const sometimesAboutNobody: ReadonlySet<string> = new Set(
  `Account AdverseEvent Appointment AppointmentResponse AuditEvent Basic Communication CommunicationRequest Composition DetectedIssue DeviceRequest
  DocumentManifest EnrollmentRequest Group Invoice List MeasureReport Media MolecularSequence Provenance RequestGroup Schedule Specimen SupplyDelivery
  SupplyRequest`.split(/\s+/),
);

const types: ReadonlyMap<string, DataClass> = new Map(Object.entries(classOfType));

/** Exact case, as everything in a FHIR path. */
export const resourceTypes: ReadonlySet<string> = new Set(types.keys());

/** What a resource of this type holds; `other` for a type that R4 doesn't know. */
export function dataClassOf(type: string): DataClass {
  return types.get(type) ?? 'other';
}

export function isAboutPatients(type: string): boolean {
  return patientCompartment.has(type);
}

/** For types that are about patients: is one without a patient nothing to wonder about? */
export function mayBeAboutNobody(type: string): boolean {
  return sometimesAboutNobody.has(type);
}
