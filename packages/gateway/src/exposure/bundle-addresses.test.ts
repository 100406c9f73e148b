/** The bytes of a Bundle that passes, whole or in pieces of any size: the same leaves, and nothing that two readers could read differently. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BundleAddresses, type Readdress, readdressBundle } from './bundle-addresses.ts';
import { moveOf } from './moved-address.ts';

const api = 'http://api.internal:8080';
const to: Readdress = {
  relink: (link) => (typeof link.url === 'string' ? { ...link, url: 'https://gate.example/fhir?sealed' } : link),
  move: moveOf([api], '/fhir', 'https://gate.example'),
};
const link = `{"relation":"next","url":"${api}/fhir?_getpages=1"}`;

function bundle(
  options: { readonly links?: string; readonly fullUrl?: string; readonly behind?: string } = {},
): string {
  const { links = `[${link}]`, fullUrl = `${api}/fhir/Observation/1`, behind = '' } = options;
  const entry = `[{"fullUrl":"${fullUrl}","resource":{"resourceType":"Observation","id":"1","x":1.50}}]`;
  return `{"resourceType":"Bundle","link":${links},"entry":${entry}}${behind}`;
}

/** Undefined where it has to end before all of it left. */
function inPieces(body: Buffer, size: number): string | undefined {
  const addresses = new BundleAddresses(to);
  const out: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const changed = addresses.change(body.subarray(at, at + size));
    if (changed === undefined) return undefined;
    out.push(changed);
  }
  return Buffer.concat(out).toString();
}

function everyWay(text: string | Buffer): string | undefined {
  const body = Buffer.from(text);
  const whole = readdressBundle(body, to)?.toString();
  for (const size of [1, 2, 7, 64, body.length]) assert.equal(inPieces(body, size), whole, `in pieces of ${size}`);
  return whole;
}

describe('the bytes of a Bundle', () => {
  it('leave with the addresses moved, and are what they were beside them', () => {
    const moved = '{"relation":"next","url":"https://gate.example/fhir?sealed"}';
    const expected = bundle({ links: `[${moved}]`, fullUrl: 'https://gate.example/fhir/Observation/1' });
    assert.equal(everyWay(bundle()), expected);
    assert.equal(everyWay(`\ufeff${bundle({ behind: ' \r\n' })}`), `\ufeff${expected} \r\n`);
    assert.equal(
      everyWay(bundle().replace('"fullUrl"', '"\\u0066ullUrl"').replace('"link"', '"l\\u0069nk"')),
      expected.replace('"fullUrl"', '"\\u0066ullUrl"').replace('"link"', '"l\\u0069nk"'),
    );
    // Bytes that are no UTF-8 hide no link.
    const unsound = Buffer.from(bundle({ links: `[${link.replace('=1', '=\xff')}]` }), 'latin1');
    assert.equal(everyWay(unsound), expected);
  });

  it('say the base in whatever way, and are left alone where it is another one', () => {
    const fullUrlOf = (fullUrl: string): unknown =>
      (JSON.parse(everyWay(bundle({ links: '[]', fullUrl })) ?? '') as { entry: { fullUrl: unknown }[] }).entry[0]
        ?.fullUrl;
    for (const own of [
      'HTTP://API.internal:8080/fhir/Observation/1',
      'http:\\/\\/api.internal:8080\\/fhir\\/Observation\\/1',
      '\\u0068ttp://api.Internal:8080/fhir/Observation/1',
    ])
      assert.equal(fullUrlOf(own), 'https://gate.example/fhir/Observation/1', own);
    for (const other of [
      'http://api.internal:8080.evil.example/fhir/Observation/1',
      'http://api.internal:80801/fhir/Observation/1',
      'http://api.internal/fhir/Observation/1',
      'http://api.internal:8080@evil.example/fhir/Observation/1',
      'http://me@api.internal:8080/fhir/Observation/1',
      'http://api.internal:8080/fhir2/Observation/1',
      'http://api.internal:8080/FHIR/Observation/1',
      'http://api.internal:8080/%66hir/Observation/1',
      'https://api.internal:8080/fhir/Observation/1',
      'h\\ttp://api.internal:8080/fhir/Observation/1',
      'urn:uuid:6f1c',
    ])
      assert.equal(fullUrlOf(other), JSON.parse(`"${other}"`), other);
  });

  it('do not leave where readers could find different links in them', () => {
    for (const text of [
      bundle({ behind: ' x' }),
      bundle({ behind: bundle() }),
      bundle({ behind: '\0' }),
      bundle({ behind: '}' }),
      bundle().replace('}]', '},]').replace('"entry"', '"link":[],"entry"'),
      bundle({ links: `[${link.replace('"}', '",}')}]` }),
      bundle({ links: `[${link.replace('"next"', "'next'")}]` }),
      bundle({ links: `[[${link}]]` }),
      bundle({ links: `"${api}/fhir?_getpages=1"` }),
      `${'{"resourceType":"Bundle","entry":[{"resource":'.repeat(10_000)}${bundle()}`,
    ])
      assert.equal(everyWay(text), undefined, text.slice(0, 200));
  });
});
