/**
 * More patients than one event can hold: they go into several. The first tells everything else; each of the others names it, and more patients. So whom a large answer was
 * about is on record to the last one.
 */
import type { ExposedPatient } from '@watchglass/record';

/** The first event has its targets to carry as well. Together with everything else they stay below what an event may be. */
const firstBytesMax = 30_000;
const pageBytesMax = 56_000;
/** So few fit whatever their ids and classes are, and needn't be measured. */
const surelyFitCount = 32;
/** As many as the schema of an event takes. */
const pageCountMax = 1_024;

/** In the same order, none left out; one empty page for none. */
export function pagesOf(patients: readonly ExposedPatient[]): readonly (readonly ExposedPatient[])[] {
  if (patients.length <= surelyFitCount) return [patients];
  const pages: ExposedPatient[][] = [];
  let page: ExposedPatient[] = [];
  let bytes = 0;
  for (const patient of patients) {
    const size = JSON.stringify(patient).length + 1;
    const bytesMax = pages.length === 0 ? firstBytesMax : pageBytesMax;
    if (page.length > 0 && (bytes + size > bytesMax || page.length >= pageCountMax)) {
      pages.push(page);
      page = [];
      bytes = 0;
    }
    page.push(patient);
    bytes += size;
  }
  pages.push(page);
  return pages;
}
