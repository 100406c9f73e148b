/** Keys of an issuer that changes them, or sends something else; with a clock of the test's own. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { exportJWK, generateKeyPair } from 'jose';
import { Agent } from 'undici';

import { audience, serve, startIssuer, type TestIssuer } from '../gateway.fixture.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { Authenticator } from './token.ts';

let issuer: TestIssuer;
let dispatcher: Agent;

before(async () => {
  issuer = await startIssuer();
  dispatcher = new Agent();
});
after(async () => {
  await dispatcher.destroy();
  await issuer.close();
});

describe('an issuer that changes its keys', () => {
  it('is asked again for a key nobody knows, and the old one is good no longer than ten minutes', async () => {
    let nowMs = Date.now();
    const keys = new IssuerKeys({ issuer: issuer.issuer, dispatcher, now: () => nowMs });
    const authenticator = new Authenticator({
      issuers: [
        { issuer: issuer.issuer, audience, algorithms: ['RS256'], tokenType: 'at+jwt', rolesClaim: 'roles', keys },
      ],
      now: () => nowMs,
    });
    const ask = async (token: string): Promise<string> => {
      const authentication = await authenticator.authenticate(`Bearer ${token}`);
      return authentication.kind === 'invalid' ? authentication.reason : authentication.kind;
    };
    const old = await issuer.mint({ jti: 'old' });
    assert.equal(await ask(old), 'authenticated');
    const next = await generateKeyPair('RS256');
    Object.assign(issuer.jwk, await exportJWK(next.publicKey), { kid: 'k2' });
    const minted = (jti: string): Promise<string> => issuer.mint({ jti }, { kid: 'k2' }, next.privateKey);
    // Not at once: whoever makes up key ids would have it asked each time.
    assert.equal(await ask(await minted('1')), 'token-key');
    assert.equal(issuer.fetches.count, 1);
    nowMs += 31_000;
    assert.equal(await ask(await minted('2')), 'authenticated');
    assert.equal(issuer.fetches.count, 2);
    assert.equal(await ask(await issuer.mint({ jti: 'forged' })), 'token-key');
    nowMs += 61_000;
    assert.equal(await ask(old), 'token-key');
  });
});

describe('an issuer that sends something else', () => {
  it('has no keys, whatever it is', async () => {
    const answers = ['', '<html>', '[]', 'null', '{"keys":"none"}', `{"keys":[],"x":"${'x'.repeat(600_000)}"}`];
    for (const answer of answers) {
      const server = await serve((_request, response) => response.end(answer));
      let gone = 0;
      const keys = new IssuerKeys({
        issuer: server.url,
        jwksUri: `${server.url}/jwks`,
        dispatcher,
        onGone: () => {
          gone += 1;
        },
      });
      assert.equal(await keys.prepare(), false, answer.slice(0, 20));
      await assert.rejects(async () => keys.keyOf({ alg: 'RS256', kid: 'k1' }, {} as never), {
        name: 'KeysUnavailableError',
      });
      assert.deepEqual([gone, keys.state], [1, 'gone']);
      await server.close();
    }
  });
});
