/** The section of `gateway.yaml` about applications in browsers: of which origins a page's scripts may call the APIs and read what they answer. */
import { z } from 'zod';

import { safeUrl } from './config-identity.ts';

export interface CorsSection {
  readonly origins: readonly string[];
}

export const corsSchema: z.ZodType<CorsSection> = z
  .strictObject({
    origins: z
      .array(
        safeUrl.refine((text) => new URL(text).origin === text, {
          error: 'expected an origin: no path, no slash at the end',
        }),
      )
      .max(100)
      .default([]),
  })
  .prefault({});
