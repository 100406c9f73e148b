/**
 * Names of operations that everybody knows: those of FHIR R4 and R5, of Bulk Data, of common guides and of HAPI. A name that isn't among them may be anything, a person’s too:
 * `/Patient/$smith` is a path that anybody can ask for.
 */
const ofFhir = `
  add apply book care-gaps closure collect-data conforms convert current-canonical data-requirements document evaluate evaluate-measure events everything expand extract filter find
  find-matches get-ws-binding-token graph graphql hook implements inquire lastn lookup match merge meta meta-add meta-delete package populate populatehtml populatelink preferred-id
  process-message purge questionnaire remove snapshot stats status submit submit-data subset subsumes transform translate validate validate-code versions`;

/** Bulk Data, US Core, Da Vinci, International Patient Summary, structured data capture, and servers of their own accord. */
const ofGuides = `
  assemble attribution-status bulk-member-match bulk-publish confirm-attribution-list davinci-data-export docref export find-provider-from-organization generate import import-pnr
  member-add member-match member-remove next-question questionnaire-package summary viewdefinition-run
  diff expunge export-poll-status get-resource-counts import-poll-status mark-all-resources-for-reindexing perform-reindexing-pass reindex reindex-terminology
  apply-codesystem-delta-add apply-codesystem-delta-remove upload-external-code-system`;

const names: ReadonlySet<string> = new Set(
  `${ofFhir} ${ofGuides}`
    .trim()
    .split(/\s+/)
    .map((name) => `$${name}`),
);

export function isKnownOperation(name: string): boolean {
  return names.has(name);
}
