/** The CapabilityStatement: what this server says of itself, made from the same tables its routes use. */
import { parametersOf, servedTypes } from './parameters.ts';
import type { Store } from './store.ts';

export function capabilityStatement(store: Store, base: string, date: string): Record<string, unknown> {
  const types = [...new Set([...servedTypes, ...store.types()])].sort();
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date,
    kind: 'instance',
    software: { name: 'Watchglass example hospital' },
    implementation: { description: 'A synthetic hospital in memory. Every person in it is invented.', url: base },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json'],
    patchFormat: ['application/json-patch+json'],
    rest: [
      {
        mode: 'server',
        documentation: 'No security of its own: it is meant to stand behind a gateway.',
        resource: types.map(typeStatement),
        interaction: [{ code: 'transaction' }, { code: 'batch' }],
      },
    ],
  };
}

function typeStatement(type: string): Record<string, unknown> {
  const parameters = parametersOf(type);
  const interactions = ['read', 'vread', 'update', 'patch', 'delete', 'history-instance', 'create', 'search-type'];
  return {
    type,
    interaction: interactions.map((code) => ({ code })),
    versioning: 'versioned-update',
    readHistory: true,
    updateCreate: true,
    conditionalCreate: true,
    conditionalRead: 'not-match',
    conditionalUpdate: false,
    conditionalDelete: 'not-supported',
    searchInclude: Object.keys(parameters)
      .filter((name) => parameters[name]?.kind === 'reference')
      .map((name) => `${type}:${name}`),
    searchParam: Object.entries(parameters).map(([name, parameter]) => ({ name, type: parameter.kind })),
    ...(type === 'Patient'
      ? {
          operation: [{ name: 'everything', definition: 'http://hl7.org/fhir/OperationDefinition/Patient-everything' }],
        }
      : {}),
  };
}
