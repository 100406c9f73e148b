/**
 * The people of the town, in households: couples, families, single parents, three generations under one roof, people
 * alone. Households are drawn one after the other from streams of their own and never look at each other. Patient
 * numbers are dealt to people in shuffled blocks of a hundred, so that the numbers next to each other aren't one family.
 */
import { type Day, populationDay } from './calendar.ts';
import { type Home, homeOf } from './geography.ts';
import { asciiName, type Culture, cultures } from './names.ts';
import { type Stream, streamOf } from './prng.ts';

export type Gender = 'female' | 'male' | 'other';

export interface Person {
  readonly household: number;
  readonly home: Home;
  readonly family: string;
  readonly given: string;
  readonly middle: string | undefined;
  readonly gender: Gender;
  readonly birthDay: Day;
  /** Always in 555-01xx, which is reserved for fiction. */
  readonly phone: string;
  /** Always under the reserved domain `example`. */
  readonly email: string;
}

const blockSize = 100;

/** People in the order of their patient numbers: the first element is number 1. More people never change the earlier ones. */
export function peopleOf(seed: string, count: number): readonly Person[] {
  const blocks = Math.ceil(count / blockSize);
  const drawn: Person[] = [];
  for (let household = 0; drawn.length < blocks * blockSize; household++) drawn.push(...householdOf(seed, household));
  const numbered: Person[] = [];
  for (let block = 0; block < blocks; block++) {
    const slots = drawn.slice(block * blockSize, (block + 1) * blockSize);
    numbered.push(...streamOf(seed, 'numbering', block).shuffled(slots));
  }
  return numbered.slice(0, count);
}

type Kind = 'alone' | 'couple' | 'family' | 'one-parent' | 'generations';

function householdOf(seed: string, household: number): Person[] {
  const stream = streamOf(seed, 'household', household);
  const culture = cultureOf(stream);
  const family = stream.pick(culture.family);
  const home = homeOf(seed, household);
  const members: Person[] = [];
  const add = (age: number, name: string, gender?: Gender): void => {
    members.push(
      personOf(streamOf(seed, 'person', household, members.length), {
        household,
        home,
        family: name,
        age,
        culture,
        gender,
        taken: members.map((member) => member.given),
      }),
    );
  };
  const partnerName = (): string => (stream.chance(0.7) ? family : stream.pick(cultureOf(stream).family));
  const kind = stream.weighted<Kind>([
    ['alone', 30],
    ['couple', 26],
    ['family', 30],
    ['one-parent', 8],
    ['generations', 6],
  ]);
  if (kind === 'alone') add(stream.between(19, 92), family);
  else {
    const elder = kind === 'couple' ? stream.between(24, 88) : stream.between(25, 52);
    add(elder, family);
    if (kind !== 'one-parent') add(Math.max(21, elder + stream.between(-6, 5)), partnerName());
    if (kind !== 'couple') {
      const children = stream.weighted([
        [1, 40],
        [2, 40],
        [3, 15],
        [4, 5],
      ] as const);
      for (let child = 0; child < children; child++)
        add(stream.between(0, Math.max(1, Math.min(22, elder - 21))), family);
    }
    if (kind === 'generations') add(Math.min(97, elder + stream.between(22, 34)), family);
  }
  return members;
}

function cultureOf(stream: Stream): Culture {
  return stream.weighted(cultures.map((culture) => [culture, culture.share] as const));
}

interface PersonDraft {
  readonly household: number;
  readonly home: Home;
  readonly family: string;
  readonly age: number;
  readonly culture: Culture;
  readonly gender?: Gender | undefined;
  /** Given names the household has already. */
  readonly taken?: readonly string[];
}

/** One person drawn from a stream; the staff who aren't patients are drawn by it too. */
export function personOf(stream: Stream, draft: PersonDraft): Person {
  const gender =
    draft.gender ??
    stream.weighted<Gender>([
      ['female', 505],
      ['male', 489],
      ['other', 6],
    ]);
  const list =
    gender === 'female' || (gender === 'other' && stream.chance(0.5)) ? draft.culture.female : draft.culture.male;
  const fresh = list.filter((name) => !draft.taken?.includes(name));
  const given = stream.pick(fresh.length > 0 ? fresh : list);
  const middle = stream.chance(0.4) ? stream.pick(list) : undefined;
  return {
    household: draft.household,
    home: draft.home,
    family: draft.family,
    given,
    middle: middle === given ? undefined : middle,
    gender,
    birthDay: populationDay - Math.floor(draft.age * 365.25) - stream.below(365),
    phone: `${stream.pick(areaCodes)}-555-01${String(stream.below(100)).padStart(2, '0')}`,
    email: `${asciiName(given)}.${asciiName(draft.family)}${stream.below(90) + 10}@mail.example`,
  };
}

const areaCodes = ['200', '300', '400', '500', '600', '700', '800', '900'] as const;

/** A culture for somebody outside the households. */
export function drawCulture(stream: Stream): Culture {
  return cultureOf(stream);
}
