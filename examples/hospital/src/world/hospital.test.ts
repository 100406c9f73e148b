import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { referencesIn } from '../fhir/references.ts';
import { type Resource, textAt, valuesAt } from '../resource.ts';
import { type Day, formatDay, parseDay } from './calendar.ts';
import { generateHospital, type Hospital } from './hospital.ts';

const today = parseDay('2026-03-04') as Day;
const make = (seed: string, patients = 150, day = today): Hospital =>
  generateHospital({ seed, today: day, patients, staff: 40 });
const digest = (hospital: Hospital): string =>
  createHash('sha256')
    .update(JSON.stringify([hospital.resources, hospital.staff, [...hospital.ties]]))
    .digest('hex');
const ofType = (hospital: Hospital, type: string): Resource[] =>
  hospital.resources.filter((one) => one.resourceType === type);

test('a seed gives the same hospital twice, byte for byte', () => {
  assert.equal(digest(make('one')), digest(make('one')));
});

test('different seeds give different hospitals', () => {
  assert.notEqual(digest(make('one')), digest(make('two')));
});

test('a larger hospital of the same seed holds the smaller one’s patients unchanged', () => {
  const names = (hospital: Hospital): string[] =>
    ofType(hospital, 'Patient').map((one) =>
      JSON.stringify([one.id, one.name, one.identifier, one.birthDate, one.address]),
    );
  const small = names(make('grow', 220));
  assert.deepEqual(names(make('grow', 330)).slice(0, 220), small);
});

test('another day moves visits, not people', () => {
  const people = (hospital: Hospital): string =>
    JSON.stringify(ofType(hospital, 'Patient').map((one) => [one.id, one.name, one.birthDate]));
  const monday = make('days');
  const tuesday = make('days', 150, today + 1);
  assert.equal(people(monday), people(tuesday));
  assert.notEqual(digest(monday), digest(tuesday));
});

test('every reference leads to a resource of the hospital, and every id is used once', () => {
  const { resources } = make('integrity', 250);
  const ids = new Set(resources.map((one) => `${one.resourceType}/${one.id}`));
  assert.equal(ids.size, resources.length);
  const dangling = resources.flatMap(referencesIn).filter((reference) => !ids.has(reference));
  assert.deepEqual(dangling, []);
});

test('nothing ends before it begins, and the dead have no plans', () => {
  const { resources } = make('order', 400);
  for (const one of resources) {
    const start = textAt(one, 'period.start') ?? textAt(one, 'start');
    const end = textAt(one, 'period.end') ?? textAt(one, 'end');
    if (start !== undefined && end !== undefined) assert.ok(start < end, one.id);
  }
  const dead = new Map(
    resources.flatMap((one) =>
      one.deceasedDateTime === undefined ? [] : [[`Patient/${one.id}`, textAt(one, 'deceasedDateTime') ?? '']],
    ),
  );
  assert.ok(dead.size > 0);
  for (const one of resources.filter(
    ({ resourceType }) => resourceType === 'Appointment' || resourceType === 'Encounter',
  )) {
    const reference = textAt(one, 'subject.reference') ?? textAt(one, 'participant.actor.reference') ?? '';
    const died = dead.get(reference);
    const start = textAt(one, 'period.start') ?? textAt(one, 'start') ?? '';
    if (died !== undefined) assert.ok(start <= died, one.id);
  }
});

test('the town has what detections need: families, neighbours, employees as patients, VIPs, sensitive diagnoses', () => {
  const hospital = make('town', 600);
  const patients = ofType(hospital, 'Patient');
  const marks = patients.flatMap((one) => valuesAt(one, 'meta.security.code'));
  assert.ok(marks.filter((mark) => mark === 'CEL').length >= 1);
  assert.ok(marks.filter((mark) => mark === 'EMP').length >= 3);
  const ties = [...hospital.ties.values()];
  assert.ok(ties.some((tie) => tie.self !== undefined));
  assert.ok(ties.some((tie) => tie.household.length > 0));
  assert.ok(ties.some((tie) => tie.neighbours.length > 0));
  const homes = Map.groupBy(patients, (one) => `${textAt(one, 'address.line')} ${textAt(one, 'name.family')}`);
  assert.ok([...homes.values()].filter((family) => family.length > 1).length > 50);
  const sensitive = new Set(ofType(hospital, 'Condition').flatMap((one) => valuesAt(one, 'meta.security.code')));
  assert.deepEqual([...sensitive].sort(), ['ETH', 'HIV', 'PSY']);
  assert.ok(ofType(hospital, 'Encounter').some((one) => one.status === 'in-progress'));
});

test('notes name the patient, with numbers and domains that belong to nobody', () => {
  const hospital = make('notes');
  const everything = JSON.stringify(hospital.resources);
  for (const [phone] of everything.matchAll(/\b\d{3}-\d{3}-\d{4}\b/g)) assert.match(phone, /^\d00-555-01\d\d$/);
  for (const [, domain] of everything.matchAll(/@([\w.-]+)/g)) assert.match(domain ?? '', /\.example$/);
  const [note] = ofType(hospital, 'DocumentReference');
  const patient = ofType(hospital, 'Patient').find((one) => `Patient/${one.id}` === textAt(note, 'subject.reference'));
  const text = Buffer.from(textAt(note, 'content.attachment.data') ?? '', 'base64').toString('utf8');
  for (const known of [
    textAt(patient, 'name.family'),
    textAt(patient, 'identifier.value'),
    textAt(patient, 'telecom.value'),
  ])
    assert.ok(known !== undefined && text.includes(known));
});

test('members of staff have a name, an address and a place of their own', () => {
  const { staff } = generateHospital({ seed: 'staff', today, patients: 50, staff: 250 });
  for (const member of ['id', 'username', 'address'] as const)
    assert.equal(new Set(staff.map((one) => one[member])).size, 250, member);
  for (const { address, username } of staff) {
    assert.match(address, /^127\.1\.\d{1,3}\.\d{1,3}$/);
    assert.match(username, /^[a-z]\.[a-z]+\d*$/);
  }
  assert.deepEqual(
    new Set(staff.slice(0, 8).map((one) => one.role)),
    new Set(['physician', 'nurse', 'registration', 'billing']),
  );
});

test('a hospital that can’t be is refused with its bounds', () => {
  assert.throws(() => generateHospital({ seed: '', today, patients: 0, staff: 40 }), /1 to 50000 patients/);
  assert.throws(() => generateHospital({ seed: '', today, patients: 10, staff: 2 }), /8 to 1600/);
  assert.throws(
    () => generateHospital({ seed: '', today: 0, patients: 10, staff: 40 }),
    /on or after 2024-01-01, got 1970-01-01/,
  );
});

test('days read and write themselves, and only days of the calendar', () => {
  assert.equal(formatDay(parseDay('2024-02-29') as Day), '2024-02-29');
  for (const wrong of ['2023-02-29', '2024-13-01', '24-01-01', '', '2024-1-1'])
    assert.equal(parseDay(wrong), undefined, wrong);
});

test('the world asks neither the clock nor the machine for anything', async () => {
  const folder = new URL('./', import.meta.url);
  for (const name of (await readdir(folder)).filter((one) => !one.endsWith('.test.ts'))) {
    const text = await readFile(new URL(name, folder), 'utf8');
    assert.doesNotMatch(text, /Date\.now|Math\.random|new Date\(\)|node:crypto|process\./, name);
  }
});
