import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { type Interaction, recognise } from '../fhir/fhir-interaction.ts';
import { PageLinks, pageParameter, pathOf } from './page-links.ts';

const secret = randomBytes(32);
const links = new PageLinks(secret, { tenant: 'clinic', validMs: 60_000 });
const nowMs = 1_800_000_000_000;

function interaction(path: string, method = 'GET'): Interaction {
  const recognition = recognise({ method, prefix: '/fhir', segments: path.split('/').slice(2), parameters: [] });
  assert.equal(recognition.kind, 'interaction', path);
  return recognition.interaction;
}

const search = interaction('/fhir/Observation');
const link = {
  origin: undefined,
  target: '/fhir?_getpages=abc&_getpagesoffset=20',
  actor: 'person-1',
  parameters: [
    { name: 'patient', rawValue: 'Patient%2Fp-1' },
    { name: 'code', rawValue: 'a=b' },
    { name: 'date', rawValue: '' },
  ],
};

function sealedOf(url: string | undefined): string {
  return String(url).split(`?${pageParameter}=`)[1] ?? '';
}

describe('the link to a page', () => {
  it('opens to what it was made of, and stands at the path of the search', () => {
    const url = links.seal(link, search, nowMs);
    assert.match(String(url), /^\/fhir\/Observation\?_sealed-page=[A-Za-z0-9_-]+$/);
    assert.deepEqual(links.open(sealedOf(url), search), { ...link, untilMs: nowMs + 60_000 });
    assert.equal(links.seal(link, search, nowMs), url);
  });

  it('is not read, and not written, by anybody else', () => {
    const sealed = sealedOf(links.seal(link, search, nowMs));
    assert.equal(Buffer.from(sealed, 'base64url').includes('p-1'), false);
    const another = new PageLinks(randomBytes(32), { tenant: 'clinic', validMs: 60_000 });
    assert.equal(another.open(sealed, search), 'of-another-key');
    for (const text of ['', 'x', sealed.slice(1, 30), `${'A'.repeat(50)}.`])
      assert.equal(links.open(text, search), 'unreadable', text);
    const others = [
      new PageLinks(secret, { tenant: 'other', validMs: 60_000 }),
      new PageLinks(secret, { tenant: undefined, validMs: 60_000 }),
    ];
    for (const other of others) assert.equal(other.open(sealed, search), 'unreadable');
    for (const path of ['/fhir/Patient', '/fhir/Patient/p-1/Observation', '/fhir/Observation/_history'])
      assert.equal(links.open(sealed, interaction(path)), 'unreadable', path);
  });

  it('leaves out what does not fit, so that it decides against who follows it', () => {
    const long = (length: number): typeof link.parameters =>
      Array.from({ length: 60 }, (_, n) => ({ name: `p${n}`, rawValue: 'v'.repeat(length) }));
    const opened = (parameters: typeof link.parameters): typeof link.parameters | undefined => {
      const all = [...parameters, { name: '_format', rawValue: 'json' }];
      const url = links.seal({ ...link, parameters: all }, search, nowMs);
      const found = url === undefined ? undefined : links.open(sealedOf(url), search);
      return typeof found === 'object' ? [...found.parameters] : undefined;
    };
    assert.equal(opened(long(40))?.[0]?.rawValue.length, 40);
    assert.equal(opened(long(600))?.[0]?.rawValue, '');
    assert.equal(opened(long(600))?.at(-1)?.rawValue, 'json');
    assert.equal(links.seal({ ...link, target: `/fhir?x=${'y'.repeat(6_000)}` }, search, nowMs), undefined);
  });

  it('stands where a GET of the search would', () => {
    for (const [method, asked, path] of [
      ['GET', '/fhir/Patient', '/fhir/Patient'],
      ['POST', '/fhir/Patient/_search', '/fhir/Patient'],
      ['POST', '/fhir/Patient/p-1/Observation/_search', '/fhir/Patient/p-1/Observation'],
      ['GET', '/fhir/Patient/p-1/_history', '/fhir/Patient/p-1/_history'],
      ['GET', '/fhir/Patient/p-1/$everything', '/fhir/Patient/p-1/$everything'],
      ['POST', '/fhir/_search', '/fhir'],
      ['GET', '/fhir', '/fhir'],
    ] as const)
      assert.equal(pathOf(interaction(asked, method)), path);
  });
});
