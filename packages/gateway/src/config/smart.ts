/** The section of `gateway.yaml` about SMART applications: at which issuer they sign people in, and what is supported, where the issuer doesn't say it. */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { SmartSettings } from '../identity/smart-discovery.ts';
import { safeUrl } from './address.ts';

export interface SmartSection {
  readonly issuer?: string | undefined;
  readonly capabilities?: readonly string[] | undefined;
}

export const smartSchema: z.ZodType<SmartSection> = z
  .strictObject({
    issuer: safeUrl.optional(),
    capabilities: z
      .array(z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, { error: 'expected a capability such as launch-standalone' }))
      .max(64)
      .optional(),
  })
  .prefault({});

/** Undefined where several issuers are trusted and none is named: an application could not tell which of them is meant. */
export function readSmart(
  { issuer, capabilities }: SmartSection,
  { issuers, file }: { readonly issuers: readonly { readonly issuer: string }[]; readonly file: string },
): SmartSettings | undefined {
  const [first, ...others] = issuers;
  if (issuer !== undefined && !issuers.some((one) => one.issuer === issuer))
    throw new GatewayError(
      'config-invalid',
      `${file}: smart.issuer: expected one of issuers[].issuer, letter for letter: tokens of others are refused`,
    );
  const chosen = issuer ?? (others.length === 0 ? first?.issuer : undefined);
  return chosen === undefined ? undefined : { issuer: chosen, capabilities };
}
