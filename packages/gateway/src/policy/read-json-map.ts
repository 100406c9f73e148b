/** The map of an API that is no FHIR, from its file: for who asks what a policy says to its requests. */
import { compileJsonMap, type JsonMap, jsonMapSchema } from '../exposure/json-map.ts';
import { readNamedFile } from './named-file.ts';
import { parseStrictYaml } from './strict-yaml.ts';

/** Throws `config-unreadable` and `config-invalid`, with the place. */
export function readJsonMap(file: string): JsonMap {
  const text = readNamedFile(file, 'a map of routes');
  return compileJsonMap(parseStrictYaml(text, { schema: jsonMapSchema, file, code: 'config-invalid' }));
}
