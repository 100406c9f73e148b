/** The section of `gateway.yaml` about applications in browsers: of which origins a page's scripts may call the APIs and read what they answer. */
import { z } from 'zod';

import { safeOrigin } from './address.ts';

export interface CorsSection {
  readonly origins: readonly string[];
}

export const corsSchema: z.ZodType<CorsSection> = z
  .strictObject({
    origins: z.array(safeOrigin).max(100).default([]),
  })
  .prefault({});
