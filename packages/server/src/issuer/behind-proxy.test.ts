/** Behind a proxy that was named everybody is counted and recorded by their own address; whoever comes without one is who they are. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import * as client from 'openid-client';
import { failuresPerAddressMax, failuresPerUsernameMax } from '../access/lockout.ts';
import { realClock } from '../world/real-world.ts';
import type { Clock } from '../world/world.ts';
import { redirectUri, startIssuer } from './issuer.fixture.ts';
import { authorize, configure } from './visitor.fixture.ts';

async function start(context: TestContext, trustedProxies: readonly string[], clock: Clock = realClock) {
  const issuer = await startIssuer([{ id: 'app', name: 'the app', redirectUris: [redirectUri] }], {
    trustedProxies,
    clock,
  });
  context.after(() => issuer[Symbol.asyncDispose]());
  const app = await configure(issuer.url, 'app', client.None());
  const signIn = (forwarded: string, more: { username?: string; password?: string } = {}) =>
    authorize(app, { scope: 'openid', headers: { 'x-forwarded-for': forwarded }, ...more });
  const addresses = () => issuer.recorded.filter(({ kind }) => kind === 'auth').map(({ source }) => source?.address);
  return { ...issuer, app, signIn, addresses };
}

test('what a stranger says about addresses is not believed', async (context) => {
  const { signIn, addresses } = await start(context, ['10.0.0.0/8']);
  assert.ok((await signIn('6.6.6.6')).back);
  assert.deepEqual(addresses(), ['127.0.0.1']);
});

test('the client of a proxy that was named is who it says, and no more than the last that the proxy saw', async (context) => {
  const { signIn, addresses } = await start(context, ['127.0.0.1', '10.0.0.0/8']);
  for (const forwarded of ['198.51.100.7', '6.6.6.6, 198.51.100.8, 10.0.0.9', '6.6.6.6, garbage', '2001:db8::7'])
    assert.ok((await signIn(forwarded)).back);
  assert.deepEqual(addresses(), ['198.51.100.7', '198.51.100.8', '127.0.0.1', '2001:db8::7']);
});

test('one client behind the proxy is slowed down and locked out, and nobody else there', async (context) => {
  // No bucket fills up again meanwhile.
  const { signIn, url, recorded } = await start(context, ['127.0.0.1'], { ...realClock, monotonicMs: () => 0 });
  const begin = (address: string) =>
    fetch(`${url}/auth?client_id=app`, { redirect: 'manual', headers: { 'x-forwarded-for': address } });
  for (let n = 0; n < 120; n++) assert.notEqual((await begin('198.51.100.7')).status, 429);
  assert.equal((await begin('6.6.6.6, 198.51.100.7')).status, 429);
  assert.notEqual((await begin('198.51.100.8')).status, 429);
  // A network of /64 is one client, whatever addresses it takes.
  for (let n = 0; n < 120; n++) await begin(`2001:db8::${n.toString(16)}`);
  assert.equal((await begin('2001:db8::ffff')).status, 429);
  assert.notEqual((await begin('2001:db8:0:1::1')).status, 429);
  assert.ok((await signIn('198.51.100.9')).back);
  assert.equal(recorded.at(-1)?.source?.address, '198.51.100.9');
});

test('an address behind the proxy that failed too often is locked, and the proxy is not', async (context) => {
  const { access, signIn } = await start(context, ['127.0.0.1']);
  for (let n = 0; n < failuresPerAddressMax; n++)
    await access.people.signIn({ username: `guess-${n}`, password: 'wrong', origin: { address: '198.51.100.7' } });
  assert.equal((await signIn('198.51.100.7')).status, 429);
  assert.ok((await signIn('198.51.100.8')).back);
});

test('a proxy that says nothing about its client is not locked for all of them, and usernames are locked all the same', async (context) => {
  const { access, app, recorded } = await start(context, ['127.0.0.1']);
  const guess = (username: string) => authorize(app, { scope: 'openid', username, password: 'wrong' });
  assert.equal((await guess('guess')).status, 401);
  const origin = { address: '127.0.0.1', isProxy: true } as const;
  for (let n = 0; n < failuresPerAddressMax; n++)
    await access.people.signIn({
      username: n < failuresPerUsernameMax ? 'guess' : `guess-${n}`,
      password: 'wrong',
      origin,
    });
  assert.equal((await guess('guess')).status, 429);
  assert.ok((await authorize(app, { scope: 'openid' })).back);
  assert.equal(recorded.at(-1)?.source?.address, '127.0.0.1');
});
