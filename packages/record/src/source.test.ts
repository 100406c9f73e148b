/** Where a request comes from: whoever isn't a proxy that was named says nothing about it, and a proxy no more than who was before it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { clientAddress, plainAddress, TrustedProxies } from './source.ts';

const from = (remoteAddress: string | undefined, forwarded: string | undefined, trusted: readonly string[]) =>
  clientAddress(
    {
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
      socket: { remoteAddress },
    } as Parameters<typeof clientAddress>[0],
    new TrustedProxies(trusted),
  );
const ours = ['10.0.0.0/8', '2001:db8::/64'];

test('it is the peer, unless the peer is a proxy that was named', () => {
  assert.equal(from('203.0.113.9', '6.6.6.6', []), '203.0.113.9');
  assert.equal(from('203.0.113.9', '6.6.6.6', ours), '203.0.113.9');
  assert.equal(from('10.0.0.1', undefined, ours), '10.0.0.1');
  assert.equal(from('10.0.0.1', '198.51.100.7', ours), '198.51.100.7');
  assert.equal(from(undefined, '198.51.100.7', ours), undefined);
});

test('it is read from right to left, past the proxies that were named and no further', () => {
  assert.equal(from('10.0.0.1', '6.6.6.6, 198.51.100.7, 10.0.0.2', ours), '198.51.100.7');
  assert.equal(from('10.0.0.1', '10.0.0.9, 6.6.6.6, 198.51.100.7', ours), '198.51.100.7');
  assert.equal(from('10.0.0.1', '10.0.0.3, 10.0.0.2', ours), '10.0.0.3');
  assert.equal(from('::ffff:10.0.0.1', '198.51.100.7', ours), '198.51.100.7');
  assert.equal(from('10.0.0.1', '::ffff:198.51.100.7, ::ffff:10.0.0.2', ours), '198.51.100.7');
  assert.equal(from('2001:db8::1', '2001:db8:1::7', ours), '2001:db8:1::7');
});

test('garbage ends the reading at who passed it on', () => {
  for (const garbage of [
    'garbage',
    '',
    ' ',
    '6.6.6.6:80',
    '[2001:db8:1::7]',
    '6.6.6',
    '06.6.6.6',
    'unknown',
    '<script>',
  ])
    assert.equal(from('10.0.0.1', `6.6.6.6, ${garbage}, 10.0.0.2`, ours), '10.0.0.2', garbage);
  assert.equal(from('10.0.0.1', 'garbage', ours), '10.0.0.1');
  assert.equal(from('10.0.0.1', ','.repeat(10_000), ours), '10.0.0.1');
});

test('of many hops the nearest sixteen are looked at', () => {
  const hops = (count: number): string => ['6.6.6.6', ...Array<string>(count).fill('10.0.0.2')].join(',');
  assert.equal(from('10.0.0.1', hops(15), ours), '6.6.6.6');
  assert.equal(from('10.0.0.1', hops(5_000), ours), '10.0.0.2');
});

test('a field that is sent twice is one list, in the order it came', async () => {
  const heard: (string | undefined)[] = [];
  const proxies = new TrustedProxies(['127.0.0.1']);
  const server = createServer((request: IncomingMessage, response) => {
    heard.push(clientAddress(request, proxies));
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const lines = ['X-Forwarded-For: 6.6.6.6', 'x-forwarded-for: 198.51.100.7', 'Connection: close'];
  socket.end(['GET / HTTP/1.1', 'Host: x', ...lines, '', ''].join('\r\n'));
  socket.resume();
  await once(socket, 'close');
  server.close();
  assert.deepEqual(heard, ['198.51.100.7']);
});

test('an address is plain: no zone, no mapped IPv4', () => {
  assert.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(plainAddress('::ffff:999.0.2.1'), undefined);
  assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1');
  assert.equal(plainAddress('garbage'), undefined);
});

test('what is neither an address nor a range stops the start', () => {
  for (const range of [
    'garbage',
    '10.0.0.0/8/1',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/x',
    '::/129',
    '',
    'proxy.example',
    '10.0.0.0/',
    '10.0.0.0/ ',
    '10.0.0.0/00',
    '10.0.0.0/0x8',
  ])
    assert.throws(() => new TrustedProxies([range]), RangeError, range);
});
