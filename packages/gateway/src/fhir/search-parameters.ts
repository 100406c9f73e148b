/**
 * Names of parameters that FHIR R4 knows: of searches (and those that US Core adds), of results, of common operations, with modifiers and in chains. A name that isn't among them may be
 * anything, a person’s number too: `?MRN12345` is a parameter with that name.
 */
import { resourceTypes } from './fhir-types.ts';

const ofResources = `
  abatement-age abatement-date abatement-string abstract accession account achievement-status action active activity-code activity-date activity-reference actor
  actual actuality additive address address-city address-country address-postalcode address-state address-use administered-by agent agent-name agent-role
  agent-type altid appointment appointment-type asserted-date asserter assessor attester authenticator author authored authored-on authoredon authority base
  base-path based-on basedon beneficiary birthdate body-site bodysite business-status care-manager care-team category characteristic characteristic-value
  chromosome chromosome-variant-coordinate chromosome-window-coordinate claim class class-type class-value classification classification-type clinical-status code
  code-value-concept code-value-date code-value-quantity code-value-string collected collector combo-code combo-code-value-concept combo-code-value-quantity
  combo-data-absent-reason combo-value-concept combo-value-quantity communication component component-code component-code-value-concept
  component-code-value-quantity component-data-absent-reason component-value-concept component-value-quantity composed-of composition conclusion condition
  confidentiality connection-type consentor contact container container-id container-identifier content-mode content-type contenttype context context-quantity
  context-type context-type-quantity context-type-value country coverage coverage-area created criteria criticality custodian data data-absent-reason date
  datetime datewritten death-date deceased definition dependent depends-on dependson derivation derived-from description destination destination-uri detail-udi
  device device-name diagnosis dicom-class discharge-disposition disposition domain dose-status doseform effective effective-time email empty-reason encounter
  endpoint entered-date enterer entity entity-name entity-role entity-type entry episode-of-care ethnicity evaluated-resource event event-date evidence
  evidence-detail exclude expansion experimental expiration-date expiry ext-context facility factor-override family fhirversion finding-code finding-ref focus
  form format formula gender gender-identity general-practitioner given global goal group-identifier guide has-member holder id-type identified identifier
  immunization-event implicated incoming-referral individual information ingredient ingredient-code input-profile instance instantiates instantiates-canonical
  instantiates-uri insurance insurer intended-dispenser intended-performer intended-performertype intent interpreter investigation issued issuer item item-udi
  jurisdiction keyword kind language last-date length lifecycle-status link location location-period lot-number managing-entity manifestation manufacturer measure
  media medication medium member message method modality mode model modified monitoring-program-name monitoring-program-type monograph monograph-type morphology
  name name-language near network notes occurrence onset onset-age onset-date onset-info operational-status operator oraldiet order-detail organization other
  outcome output-profile owned-by owner parent part-of part-status participant participant-role participant-type participating-organization partof path patient
  payee payload payload-type payment-date payment-issuer payment-status payor performer performer-actor performer-function performer-type performing-organization
  period phone phonetic policy policy-holder practitioner predecessor prescriber prescription previous price-override primary-organization principalinvestigator
  prior-request priority probability problem procedure-udi product program protocol provider publisher purpose quantity questionnaire race reaction reaction-date
  reason reason-code reason-given reason-not-given reason-reference received receiver recipient recorded recorded-date recorder reference referenceseqid
  referenceseqid-variant-coordinate referenceseqid-window-coordinate referrer related related-id related-ref relatedperson relatesto relation relationship
  replaces reporter request requester requesting-organization requestor requisition resource resource-profile response response-id responsible responsibleparty
  result resultingcondition results-interpreter risk role route schedule scope section security-label security-service sender sent series seriousness service
  service-category service-provider service-type setting severity sex signature-type signer site slot software source source-code source-cost source-reference
  source-system source-uri special-arrangement specialty specimen sponsor stage start start-date started status status-reason study subdetail-udi subject
  subject-type subscriber substance substance-reference subtype successor supplement supplements supplier support supported-profile supporting-info system target
  target-code target-date target-disease target-species target-system target-uri telecom tester testscript testscript-capability timestamp title topic totalgross
  totalnet type udi-carrier udi-di url use vaccine-code vaccine-type value value-concept value-date value-quantity value-string valueset variant-end variant-start
  verification-status version view when whenhandedover whenprepared window-end window-start`;

/** R4 §3.1.1.1, §3.1.1.4, §3.1.1.5 and §3.1.0.1, and what servers add for pages. */
const ofAnything = `
  _at _bundletype _contained _containedType _content _count _cursor _elements _filter _format _getpages _getpagesoffset _id _include _lastUpdated _list _maxresults
  _offset _page _page_token _pretty _profile _query _revinclude _score _security _since _skip _sort _source _summary _tag _text _total _type
  _sealed-page`;

/** Inputs of the operations of R4, Bulk Data 2 and the terminology service that can stand in a URL. */
const ofOperations = `
  _outputFormat _typeFilter allowPartialManifests includeAssociatedData organizeOutputBy activeOnly canonicalVersion code codingA codingB conceptMap count date
  displayLanguage end excludeNested excludeNotForUI excludePostCoordinated exact filter includeDefinition includeDesignations map max measure mode offset onlyCertainMatches
  patient period periodEnd periodStart practitioner property reverse source start subject system targetsystem type url valueSet valueSetVersion version display`;

const names: ReadonlySet<string> = new Set(`${ofResources} ${ofAnything} ${ofOperations}`.trim().split(/\s+/));

/** R4 §3.1.1.4.2, R5 §3.2.1.5.5, and `:iterate` of included resources. */
const modifiers: ReadonlySet<string> = new Set(
  `above below code-text contains exact identifier in iterate iterator missing not not-in of-type ofType recurse text text-advanced`.split(
    ' ',
  ),
);

const linksMax = 8;

/** Is every part of it a name of the specification? `family:exact`, `subject:Patient.name`, `_has:Observation:patient:code`. */
export function isFhirParameter(name: string): boolean {
  if (names.has(name)) return true;
  const links = name.split('.');
  return links.length <= linksMax && links.every((link) => isLink(link.split(':')));
}

function isLink([name = '', ...rest]: readonly string[]): boolean {
  if (name === '_has') {
    const [type = '', reference = '', ...of] = rest;
    return resourceTypes.has(type) && names.has(reference) && of.length > 0 && of.length <= linksMax && isLink(of);
  }
  const [modifier, more] = rest;
  if (!names.has(name) || more !== undefined) return false;
  return modifier === undefined || modifiers.has(modifier) || resourceTypes.has(modifier);
}
