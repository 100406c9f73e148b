/**
 * Ordinary work, by role. Every record is opened because of something in the person's worklist: an appointment, a
 * stay in the ward, membership of a care team, a claim to prepare, somebody at the desk. A small share is what honest
 * work also looks like: a name typed wrong, the wrong patient opened and closed again.
 */

import { bookingDraft, noteDraft, prescriptionDraft, vitalsDraft } from './records.ts';
import { type Activity, type Ask, entriesOf, find, query, read, type Scene, type Work } from './work.ts';

const slipShare = 0.015;

/** Before a chart is opened, once in a while the one of a namesake is, by mistake. */
function* slip(scene: Scene, patient: string): Work {
  if (!scene.stream.chance(slipShare)) return;
  const meant = scene.roster.lookups.find((one) => one.patient === patient);
  const namesakes = scene.roster.lookups.filter((one) => one.family === meant?.family && one.patient !== patient);
  if (namesakes.length > 0) {
    const wrong = scene.stream.pick(namesakes).patient;
    yield read('Patient', wrong, wrong);
  }
}

function* chart(scene: Scene, patient: string): Work {
  yield* slip(scene, patient);
  yield read('Patient', patient, patient);
  const looks: Ask[] = [
    find(patient, 'Condition'),
    find(patient, 'MedicationRequest', { _sort: '-authoredon', _count: 10 }),
    find(patient, 'Observation', { category: 'laboratory', _sort: '-date', _count: 20 }),
    find(patient, 'Encounter', { _sort: '-date', _count: 5 }),
  ];
  for (const look of looks) if (scene.stream.chance(0.75)) yield look;
  if (scene.stream.chance(0.6)) yield* readNotes(scene, patient);
}

function* readNotes(scene: Scene, patient: string): Work {
  const reply = yield {
    ...find(patient, 'DocumentReference', { _sort: '-date', _count: 3, _elements: 'type,date,subject' }),
    keep: true,
  };
  for (const note of entriesOf(reply).slice(0, scene.stream.between(1, 2))) {
    if (typeof note.id === 'string') yield read('DocumentReference', note.id, patient);
  }
}

function* physicianVisit(scene: Scene): Work {
  const { person, worklist, stream, roster } = scene;
  if (stream.chance(0.4))
    yield {
      method: 'GET',
      path: query('Appointment', { practitioner: person.id, date: roster.today, status: 'booked,arrived', _count: 50 }),
    };
  const { patient } = stream.pick(worklist.appointments);
  yield* chart(scene, patient);
  if (stream.chance(0.25))
    yield { method: 'POST', path: 'MedicationRequest', body: prescriptionDraft(scene, patient), patient };
  if (stream.chance(0.15))
    yield { method: 'POST', path: 'Observation', body: vitalsDraft(scene, patient, undefined), patient };
}

function* physicianRound(scene: Scene): Work {
  const { stream, worklist, person } = scene;
  yield { method: 'GET', path: query('Encounter', { practitioner: person.id, status: 'in-progress', _count: 50 }) };
  for (const { encounter, patient } of stream.shuffled(worklist.stays).slice(0, 3)) {
    yield read('Patient', patient, patient);
    yield find(patient, 'Observation', { encounter, category: 'vital-signs', _sort: '-date', _count: 10 });
    if (stream.chance(0.5)) yield* readNotes(scene, patient);
    if (stream.chance(0.3))
      yield { method: 'POST', path: 'DocumentReference', body: noteDraft(scene, patient, encounter), patient };
  }
}

function* results(scene: Scene): Work {
  const patient = scene.stream.pick(scene.worklist.panel);
  const reply = yield {
    ...find(patient, 'Observation', { category: 'laboratory', _sort: '-date', _count: 10 }),
    keep: true,
  };
  const [newest] = entriesOf(reply);
  if (typeof newest?.id === 'string') yield read('Observation', newest.id, patient);
  if (scene.stream.chance(0.3)) yield read('Patient', patient, patient);
}

function* wholeChart(scene: Scene): Work {
  const patient = scene.stream.pick(scene.worklist.panel);
  yield read('Patient', patient, patient);
  yield { method: 'GET', path: `Patient/${patient}/$everything`, patient };
}

function* vitalsRound(scene: Scene): Work {
  const { stream, worklist, person } = scene;
  yield {
    method: 'GET',
    path: query('Encounter', { location: `wg-loc-${person.department}`, status: 'in-progress', _count: 50 }),
  };
  for (const { encounter, patient } of stream.shuffled(worklist.stays).slice(0, stream.between(1, 4))) {
    if (stream.chance(0.5)) yield read('Patient', patient, patient);
    yield find(patient, 'Observation', { encounter, category: 'vital-signs', _sort: '-date', _count: 5 });
    const taken = yield {
      method: 'POST',
      path: 'Observation',
      body: vitalsDraft(scene, patient, encounter),
      patient,
      keep: true,
    };
    // Now and then a value is corrected at once.
    if (taken.body !== undefined && typeof taken.body.id === 'string' && stream.chance(0.08)) {
      const amended = { ...vitalsDraft(scene, patient, encounter), id: taken.body.id, status: 'amended' };
      yield {
        method: 'PUT',
        path: `Observation/${taken.body.id}`,
        body: amended,
        patient,
        ...(taken.etag === undefined ? {} : { ifMatch: taken.etag }),
      };
    }
  }
}

function* handover(scene: Scene): Work {
  for (const { patient } of scene.stream.shuffled(scene.worklist.stays).slice(0, 3)) {
    yield find(patient, 'CareTeam', { status: 'active' });
    yield find(patient, 'MedicationRequest', { status: 'active' });
    yield find(patient, 'DocumentReference', { _sort: '-date', _count: 1 });
  }
}

function* clinicVitals(scene: Scene): Work {
  const { patient } = scene.stream.pick(scene.worklist.appointments);
  yield* slip(scene, patient);
  yield read('Patient', patient, patient);
  yield find(patient, 'Condition');
  yield { method: 'POST', path: 'Observation', body: vitalsDraft(scene, patient, undefined), patient };
}

function* prepareClaim(scene: Scene): Work {
  const { claim, encounter, patient } = scene.stream.pick(scene.worklist.claims);
  yield read('Encounter', encounter, patient);
  yield read('Patient', patient, patient);
  yield find(patient, 'Coverage');
  const draft = yield { ...read('Claim', claim, patient), keep: true };
  if (draft.body !== undefined && scene.stream.chance(0.6))
    yield {
      method: 'PUT',
      path: `Claim/${claim}`,
      body: { ...draft.body, status: 'active' },
      patient,
      ...(draft.etag === undefined ? {} : { ifMatch: draft.etag }),
    };
}

function* claimStatus(scene: Scene): Work {
  const { patient } = scene.stream.pick(scene.worklist.claims);
  yield find(patient, 'Claim', { _sort: '-created', _count: 10 });
}

/** Name and birth date as said at the desk; sometimes only the beginning of the name, sometimes misheard first. */
function* lookUp(scene: Scene, patient: string): Work {
  const person = scene.roster.lookups.find((one) => one.patient === patient);
  if (person === undefined) return;
  const ask = (family: string): Ask => {
    const parameters = { family, birthdate: person.birthDate };
    return scene.stream.chance(0.5)
      ? { method: 'POST', path: 'Patient/_search', body: new URLSearchParams(parameters) }
      : { method: 'GET', path: query('Patient', parameters) };
  };
  if (scene.stream.chance(0.06)) yield ask(`${person.family.slice(0, 2)}x`);
  yield ask(scene.stream.chance(0.3) ? person.family.slice(0, 3) : person.family);
  yield read('Patient', patient, patient);
}

function* arrival(scene: Scene): Work {
  const { id, patient } = scene.stream.pick(scene.worklist.appointments);
  yield* lookUp(scene, patient);
  yield find(patient, 'Appointment', { date: scene.roster.today });
  const appointment = yield { ...read('Appointment', id, patient), keep: true };
  if (appointment.body !== undefined)
    yield {
      method: 'PUT',
      path: `Appointment/${id}`,
      body: { ...appointment.body, status: 'arrived' },
      patient,
      ...(appointment.etag === undefined ? {} : { ifMatch: appointment.etag }),
    };
}

function* telephone(scene: Scene): Work {
  const { stream, roster } = scene;
  const { patient } = stream.pick(roster.lookups);
  yield* lookUp(scene, patient);
  yield find(patient, 'Appointment', { _sort: '-date', _count: 5 });
  const physicians = roster.staff.filter((one) => one.role === 'physician');
  if (stream.chance(0.35))
    yield {
      method: 'POST',
      path: 'Appointment',
      body: bookingDraft(scene, patient, stream.pick(physicians).id),
      patient,
    };
}

const appointments = (scene: Scene): boolean => scene.worklist.appointments.length > 0;
const stays = (scene: Scene): boolean => scene.worklist.stays.length > 0;
const panel = (scene: Scene): boolean => scene.worklist.panel.length > 0;
const claims = (scene: Scene): boolean => scene.worklist.claims.length > 0;
const callers = (scene: Scene): boolean => scene.roster.lookups.length > 0;

export const activities: readonly Activity[] = [
  { name: 'visit', role: 'physician', weight: 5, possible: appointments, work: physicianVisit },
  { name: 'round', role: 'physician', weight: 4, possible: stays, work: physicianRound },
  { name: 'results', role: 'physician', weight: 2, possible: panel, work: results },
  { name: 'whole-chart', role: 'physician', weight: 0.5, possible: panel, work: wholeChart },
  { name: 'vitals-round', role: 'nurse', weight: 5, possible: stays, work: vitalsRound },
  { name: 'handover', role: 'nurse', weight: 2, possible: stays, work: handover },
  { name: 'clinic-vitals', role: 'nurse', weight: 4, possible: appointments, work: clinicVitals },
  { name: 'prepare-claim', role: 'billing', weight: 4, possible: claims, work: prepareClaim },
  { name: 'claim-status', role: 'billing', weight: 1, possible: claims, work: claimStatus },
  { name: 'arrival', role: 'registration', weight: 4, possible: appointments, work: arrival },
  { name: 'telephone', role: 'registration', weight: 2, possible: callers, work: telephone },
];
