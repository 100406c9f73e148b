/** What the parts of a verification of a bundle share: the evidence that was read, and where findings go. */
import { RecordError } from '../errors.ts';
import type { BundleFindingCode } from './bundle-findings.ts';
import type { Evidence } from './contents.ts';

export type Read = Evidence & { readonly contentsText: string };

export type Tell = (code: BundleFindingCode, place: string, message: string, index?: number) => void;

/** The words of one of our errors; any other goes on. */
export function messageOf(error: unknown): string {
  if (error instanceof RecordError) return error.message;
  throw error;
}
