/** A page opens a WebSocket through the gateway as browsers do: with its token in a subprotocol, and from an origin that may. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Browser, Page } from 'playwright-core';

import { type Listening, serve } from '../../packages/gateway/src/gateway.fixture.ts';
import { startWebSocketRoad, type WebSocketRoad } from '../../packages/gateway/src/websocket.fixture.ts';
import { launchChromium } from './chromium.fixture.ts';

let browser: Browser;
let app: Listening;
let other: Listening;
let road: WebSocketRoad;

before(async () => {
  const page = (
    _request: unknown,
    response: { end(text: string): void; setHeader(name: string, value: string): void },
  ): void => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>app</title>');
  };
  [app, other] = [await serve(page), await serve(page)];
  road = await startWebSocketRoad({ websockets: { origins: [app.url] } });
  browser = await launchChromium();
});

after(async () => {
  await browser.close();
  await road.close();
  await app.close();
  await other.close();
});

/** What becomes of a WebSocket that a page opens. */
async function openFrom(page: Page, protocols: readonly string[]): Promise<unknown> {
  const url = `ws://127.0.0.1:${road.gateway.port}/fhir/websocket`;
  return page.evaluate(
    ([at, offered]) =>
      new Promise((resolve) => {
        const socket = new WebSocket(at, [...offered]);
        socket.onopen = () => socket.send('from a page');
        socket.onmessage = ({ data }) => {
          resolve({ data, protocol: socket.protocol, extensions: socket.extensions });
          socket.close(1000);
        };
        socket.onclose = ({ code }) => resolve({ code });
      }),
    [url, protocols] as const,
  );
}

describe('a page in Chromium', () => {
  it('opens a WebSocket with its token in a subprotocol', async () => {
    const page = await browser.newPage();
    await page.goto(app.url);
    const said = await openFrom(page, ['watchglass', `watchglass.bearer.${road.token}`]);
    assert.deepEqual(said, { data: 'from a page', protocol: 'watchglass', extensions: '' });
    const [handshake] = road.handshakes;
    assert.equal(handshake?.rawHeaders.join('\n').includes(road.token), false);
    await page.close();
  });

  it('of another origin, or without a token, does not', async () => {
    const asked = road.handshakes.length;
    const page = await browser.newPage();
    await page.goto(other.url);
    const protocols = ['watchglass', `watchglass.bearer.${road.token}`];
    assert.deepEqual(await openFrom(page, protocols), { code: 1006 });
    await page.goto(app.url);
    assert.deepEqual(await openFrom(page, ['watchglass']), { code: 1006 });
    assert.equal(road.handshakes.length, asked);
    await page.close();
  });
});
