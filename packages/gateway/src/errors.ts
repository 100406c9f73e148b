/**
 * What stops a gateway from starting, by code. What a single request can run into is in `refusal.ts`.
 */

export const gatewayErrorCodes = {
  'config-unreadable': 'The configuration or a file it names cannot be read.',
  'config-invalid': 'The configuration has an unknown key, a missing one, or a value that cannot work.',
  'policy-invalid': 'The policy has an unknown key, a missing one, or a value that cannot work.',
  'listen-failed': 'The address is taken or not allowed.',
  'worker-failed': 'A worker process could not be started, or none is left that serves.',
} as const;

export type GatewayErrorCode = keyof typeof gatewayErrorCodes;

export class GatewayError extends Error {
  readonly code: GatewayErrorCode;

  constructor(code: GatewayErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
  }
}
