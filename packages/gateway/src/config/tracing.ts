/** The section of `gateway.yaml` about traces, and the files that it names. */
import { readTracing as readSection, type TracingSection, type TracingSettings } from '@watchglass/trace';
import { GatewayError } from '../errors.ts';
import type { ConfigFiles } from './identity.ts';

export function readTracing(section: TracingSection, files: ConfigFiles): TracingSettings {
  const { headersFile, ca } = section;
  const read = readSection(section, {
    headers: headersFile === undefined ? undefined : files.read(headersFile, 'tracing.headersFile'),
    ca: ca === undefined ? undefined : files.read(ca, 'tracing.ca'),
  });
  if ('settings' in read) return read.settings;
  throw new GatewayError('config-invalid', `${files.from(headersFile ?? '')}: ${read.problem}`);
}
