import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { canonicalise, parseParameters } from './canonical.ts';

describe('a target', () => {
  it('is taken apart without being changed', () => {
    assert.deepEqual(canonicalise('/fhir/Patient/1?_count=5&name=a%20b'), {
      kind: 'canonical',
      path: '/fhir/Patient/1',
      segments: ['fhir', 'Patient', '1'],
      query: '_count=5&name=a%20b',
      parameters: [
        { name: '_count', rawValue: '5' },
        { name: 'name', rawValue: 'a%20b' },
      ],
    });
  });

  it('may hold what FHIR puts into a query', () => {
    for (const query of [
      'identifier=http%3A%2F%2Fx%2F%7C1',
      'code=loinc|8867-4',
      'date=ge2026-01-01&date=le2026-02-01',
      '_has%3AObservation%3Apatient%3Acode=1',
      'name:exact=A',
      '_sort=-date',
      'a=1&',
      '',
    ]) {
      assert.equal(canonicalise(`/fhir/Patient?${query}`).kind, 'canonical', query);
    }
  });

  it('has a reason of its own for each refusal', () => {
    const cases: Readonly<Record<string, string>> = {
      'http://x/fhir': 'target-form',
      '': 'target-form',
      '//x': 'target-form',
      '/a#b': 'target-fragment',
      '/a\\b': 'target-backslash',
      '/a;b': 'target-parameter',
      '/a?x=1;y=2': 'target-parameter',
      '/a"b': 'target-character',
      '/a b': 'target-character',
      '/ä': 'target-character',
      '/a?x="': 'target-character',
      '/%41': 'target-encoding',
      '/%c3%a4': 'target-encoding',
      '/%2F': 'target-encoding',
      '/%': 'target-encoding',
      '/%4': 'target-encoding',
      '/%C3': 'target-encoding',
      '/a?x=%0a': 'target-encoding',
      '/a?x=%zz': 'target-encoding',
      '/a/../b': 'target-dot-segment',
      '/.': 'target-dot-segment',
      '/a?%5Fid=1': 'target-query',
      '/a?x y': 'target-character',
      '/a?=1': 'target-query',
    };
    for (const [target, reason] of Object.entries(cases))
      assert.deepEqual(canonicalise(target), { kind: 'refused', reason }, target);
    assert.deepEqual(canonicalise(`/${'a'.repeat(9_000)}`), { kind: 'refused', reason: 'target-too-long' });
    assert.equal(parseParameters(Array.from({ length: 65 }, (_, n) => `p=${n}`).join('&')), 'target-query');
  });

  it('once canonical means the same to every URL parser', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '/',
        '//',
        '.',
        '..',
        '%2e',
        '%2F',
        '%5C',
        '%00',
        '\\',
        ';',
        '#',
        '?',
        '&',
        '=',
        '%',
        '%25',
        '%41',
        'fhir',
        'Patient',
        '\u0000',
        ' ',
        'é',
        '@',
        ':',
        '|',
        '+',
      ),
      fc.string({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const raw = `/${pieces.join('')}`;
        const target = canonicalise(raw);
        if (target.kind === 'refused') return;
        const url = new URL(raw, 'http://gateway.invalid');
        assert.equal(url.host, 'gateway.invalid');
        assert.equal(url.pathname, target.path);
        assert.equal(url.search.slice(1), (target.query ?? '').replaceAll("'", '%27'));
        assert.equal(url.hash, '');
        assert.equal(decodeURIComponent(target.path).includes('..'), target.path.includes('..'));
        assert.deepEqual(
          [...url.searchParams.keys()].filter((name) => name !== ''),
          target.parameters.map(({ name }) => name),
        );
      }),
      { numRuns: 5_000 },
    );
  });

  it('of any bytes is judged without throwing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void canonicalise(text)),
      { numRuns: 2_000 },
    );
  });
});
