/**
 * A bundle as a file: a page (docs/bundle.md, "The file") with the evidence in one script element that no browser runs. The
 * evidence has no `<`, so the element ends where the page says.
 */
import { sha256 } from '#crypto';
import { encodeHex, encodeUtf8 } from '../bytes.ts';
import { RecordError } from '../errors.ts';

const opening = '<script type="application/json" id="evidence">';
const closing = '</script>';

export interface BundleFile {
  readonly evidence: string;
  /** SHA-256 of the page without its evidence, hex. */
  readonly page: string;
}

/** Whether a text looks like a bundle, be it a broken one. */
export function looksLikeBundle(text: string): boolean {
  return text.includes(opening);
}

/** @throws {RecordError} `bundle-malformed` */
export function splitBundle(text: string): BundleFile {
  const { before, after, evidence } = cut(text);
  return { evidence, page: pageDigest(before + after) };
}

/** What stands before and behind the evidence, of a page without any. @throws {RecordError} `bundle-malformed` */
export function splitPage(template: string): { readonly before: string; readonly after: string } {
  const { before, after, evidence } = cut(template);
  if (evidence !== '') throw malformed('expected a page whose evidence is empty');
  return { before, after };
}

/** SHA-256 of a page without evidence, hex. */
export function pageDigest(template: string): string {
  return encodeHex(sha256(encodeUtf8(template)));
}

function cut(text: string): { readonly before: string; readonly after: string; readonly evidence: string } {
  const at = text.indexOf(opening);
  if (at < 0) throw malformed('expected a page with evidence in it');
  const from = at + opening.length;
  const end = text.indexOf(closing, from);
  if (end < 0) throw malformed('expected the evidence to end; the file was cut off');
  return { before: text.slice(0, from), after: text.slice(end), evidence: text.slice(from, end) };
}

function malformed(message: string): RecordError {
  return new RecordError('bundle-malformed', `the file cannot be read as a bundle: ${message}`);
}
