/**
 * The patient compartment (R4 CompartmentDefinition/patient): by which search parameters a type says whose it is. A search narrowed by one of them to a patient
 * stays in the compartment; `Schedule?patient=…` doesn't, since Schedule has no such parameter and servers let go of what they don't know.
 */

/** Types by the parameters they have: `patient` and `subject` where R4 defines them for a patient, then those of the compartment. */
const parametersOf: Readonly<Record<string, string>> = {
  'patient subject': `Account ChargeItem ClinicalImpression DeviceUseStatement DiagnosticReport Encounter EnrollmentRequest Flag Goal ImagingStudy
    MeasureReport Media MedicationRequest MedicationStatement RiskAssessment Specimen Task`,
  patient: `AuditEvent BodyStructure ClaimResponse Consent CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue EpisodeOfCare
    FamilyMemberHistory Immunization ImmunizationEvaluation ImmunizationRecommendation MolecularSequence NutritionOrder Person Provenance RelatedPerson
    SupplyDelivery VisionPrescription`,
  subject: 'AdverseEvent SupplyRequest',
  'patient subject performer': 'CarePlan DeviceRequest MedicationAdministration Observation Procedure ServiceRequest',
  'patient subject participant': 'CareTeam RequestGroup',
  'patient subject author': 'Basic DocumentReference QuestionnaireResponse',
  'patient subject author attester': 'Composition',
  'patient subject author recipient': 'DocumentManifest',
  'patient subject asserter': 'Condition',
  'patient subject recipient': 'Invoice',
  'patient subject receiver': 'MedicationDispense',
  'patient subject source': 'List',
  'patient subject sender recipient': 'Communication',
  'patient subject sender recipient requester': 'CommunicationRequest',
  'patient recorder asserter': 'AllergyIntolerance',
  'patient payee': 'Claim ExplanationOfBenefit',
  'patient policy-holder subscriber beneficiary payor': 'Coverage',
  'patient individual': 'ResearchSubject',
  'patient actor': 'Appointment AppointmentResponse',
  actor: 'Schedule',
  member: 'Group',
  // `link` leads to other records of the same person, which are other patients here.
  _id: 'Patient',
};

const byType: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(parametersOf).flatMap(([parameters, types]) =>
    types.split(/\s+/).map((type) => [type, new Set(parameters.split(' '))] as const),
  ),
);

export function isInCompartment(type: string): boolean {
  return byType.has(type);
}

/** Does a search of this type by this parameter, without its modifier, stay with one patient? */
export function narrows(type: string, parameter: string): boolean {
  return byType.get(type)?.has(parameter) === true;
}
