/** A policy to begin with: the roles of a hospital. */
import { fileURLToPath } from 'node:url';

/** Absolute path of `policies/hospital.yaml`. */
export function samplePolicyPath(): string {
  return fileURLToPath(new URL('../../policies/hospital.yaml', import.meta.url));
}
