/**
 * Bulk reading: somebody with honest access walks through the whole directory page by page, and then through the
 * records of everybody in it, faster and wider than any work of theirs needs.
 */
import type { Scenario } from './scenario.ts';
import { entriesOf, find, query, type Reply, type Scene, type Work } from './work.ts';

export const pagesMax = 12;
export const recordsMax = 300;

function* work(scene: Scene): Work {
  const patients: string[] = [];
  let path: string | undefined = query('Patient', { _count: 100 });
  for (let page = 0; page < pagesMax && path !== undefined; page++) {
    const reply: Reply = yield { method: 'GET', path, keep: true };
    patients.push(...entriesOf(reply).flatMap((one) => (typeof one.id === 'string' ? [one.id] : [])));
    path = nextOf(reply);
  }
  const type = scene.person.role === 'billing' ? 'Coverage' : 'DocumentReference';
  for (const patient of scene.stream.shuffled(patients).slice(0, recordsMax)) yield find(patient, type, { _count: 50 });
}

/** Where a Bundle's `next` link leads, below the FHIR base, whatever host it names: it is asked for at the gateway. */
export function nextOf(reply: Reply): string | undefined {
  const links = reply.body?.link;
  const next = Array.isArray(links) ? links.find((link) => link?.relation === 'next')?.url : undefined;
  if (typeof next !== 'string' || !URL.canParse(next, 'http://gateway.invalid/fhir/')) return undefined;
  const url = new URL(next, 'http://gateway.invalid/fhir/');
  return url.pathname.startsWith('/fhir/') ? `${url.pathname.slice('/fhir/'.length)}${url.search}` : undefined;
}

export const bulkRead: Scenario = {
  name: 'bulk-read',
  description: 'walks through the whole patient directory and then everybody’s records',
  roles: ['billing', 'physician', 'nurse'],
  possible: (scene) => scene.roster.patients.length > 0,
  paceMs: (stream) => stream.between(250, 700),
  work,
};
