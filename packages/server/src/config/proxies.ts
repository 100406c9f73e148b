/** `trustedProxies` of `watchglass.yaml`, in the words of the gateway's: whose `X-Forwarded-For` says where a request comes from. */
import { TrustedProxies } from '@watchglass/record/source';
import { z } from 'zod';

const rangesMax = 256;

export const trustedProxiesSchema: z.ZodOptional<z.ZodArray<z.ZodString>> = z
  .array(z.string())
  .max(rangesMax)
  .optional()
  .describe(
    'Addresses and CIDR ranges of the proxies in front whose `X-Forwarded-For` is believed, by the server and the embedded issuer; nobody’s unless said.',
  );

export function* contradictionsInProxies(ranges: readonly string[] = []): Generator<string> {
  for (const [position, range] of ranges.entries()) {
    try {
      new TrustedProxies([range]);
    } catch (error) {
      yield `trustedProxies[${position}]: ${(error as Error).message}; write them as \`10.0.0.7\`, \`10.0.0.0/8\` or \`2001:db8::/32\``;
    }
  }
}
