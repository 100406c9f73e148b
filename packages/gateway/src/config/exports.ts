/** The section of `gateway.yaml` about the files of bulk exports: where else than at the upstream they may lie, and the key that seals the ways to them. */
import { z } from 'zod';

import { safeOrigin } from './address.ts';

export interface ExportsSection {
  readonly origins: readonly string[];
  readonly keyFile?: string | undefined;
}

export const exportsSchema: z.ZodType<ExportsSection> = z
  .strictObject({
    origins: z.array(safeOrigin).max(16).default([]),
    keyFile: z.string().min(1).optional(),
  })
  .prefault({});
