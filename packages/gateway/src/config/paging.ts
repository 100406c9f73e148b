/** The section of `gateway.yaml` about the pages of searches: how long a link is good for, and by what a server finds a page that no link of ours leads to. */
import { z } from 'zod';

export interface PagingSection {
  readonly validMs: number;
  readonly opaqueParameters: readonly string[];
}

/** Of HAPI FHIR, Google, Azure, Oracle Health and Medplum. */
const opaqueParameters = ['_getpages', '_page_token', 'ct', '-pageContext', '_cursor'];

const parameter = z.string().regex(/^[A-Za-z0-9_.:-]{1,128}$/, { error: 'expected the name of a parameter' });

/** `audit.parameters`: names that may stand on record, besides those of FHIR and of maps. */
export const parametersSchema: z.ZodDefault<z.ZodType<readonly string[]>> = z.array(parameter).max(512).default([]);

export const pagingSchema: z.ZodType<PagingSection> = z
  .strictObject({
    validMs: z.int().min(1_000).max(604_800_000).default(3_600_000),
    opaqueParameters: z.array(parameter).max(32).default(opaqueParameters),
  })
  .prefault({});
