import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draftEvent } from '@watchglass/record';
import { firstEventCommand } from './first-event-command.ts';

test('the curl of an empty Explorer sends an event that the door takes', () => {
  const command = firstEventCommand('https://watchglass.example');
  const body = /-d '(.+)'$/s.exec(command)?.[1];
  assert.ok(body);
  assert.doesNotThrow(() => draftEvent(JSON.parse(body)));
  assert.match(command, /^curl https:\/\/watchglass\.example\/v1\/events /);
});
