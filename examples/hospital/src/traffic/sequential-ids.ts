/**
 * Sequential ids: somebody found out that ids are numbers and counts upwards, reading whatever answers. Some ids don't
 * exist and some are skipped, as in the real thing. Where ids aren't numbered, the ids in their order are walked.
 */
import type { Scenario } from './scenario.ts';
import { read, type Scene, type Work } from './work.ts';

export const readsMax = 120;

function* work(scene: Scene): Work {
  const { stream, roster } = scene;
  const reads = stream.between(60, readsMax);
  const ids = candidates(scene);
  let at = stream.below(Math.max(1, roster.patients.length - Math.floor(reads / 2)));
  for (let count = 0; count < reads; count++) {
    const id = ids(at);
    if (id === undefined) return;
    yield read('Patient', id, id);
    at += stream.weighted([
      [1, 85],
      [2, 10],
      [3, 5],
    ] as const);
  }
}

/** The id at a place: counted on beyond the last patient where ids are numbers, undefined there otherwise. */
function candidates(scene: Scene): (place: number) => string | undefined {
  const sorted = [...scene.roster.patients].sort();
  const numbered = /^(.*?)(\d{4,})$/.exec(sorted[0] ?? '');
  if (numbered === null || sorted.some((id) => !id.startsWith(numbered[1] ?? '') || !/\d{4,}$/.test(id)))
    return (place) => sorted[place];
  const [, prefix = '', first = ''] = numbered;
  return (place) => `${prefix}${String(Number(first) + place).padStart(first.length, '0')}`;
}

export const sequentialIds: Scenario = {
  name: 'sequential-ids',
  description: 'counts patient ids upwards and reads whatever answers',
  roles: ['registration', 'nurse', 'billing'],
  possible: (scene) => scene.roster.patients.length > 0,
  paceMs: (stream) => stream.between(700, 2200),
  work,
};
