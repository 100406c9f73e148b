/** Many workers' numbers as one gateway's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Metrics } from './metrics.ts';
import { SummedMetrics } from './summed-metrics.ts';

async function worker(requests: number, options: { readonly open: number }): Promise<unknown> {
  const metrics = new Metrics();
  metrics.requests.inc({ interaction: 'read', status: '200' }, requests);
  metrics.duration.observe({ interaction: 'read' }, 0.003);
  metrics.watch('open', 'least', () => options.open, 'min');
  metrics.watch('waiting', 'sum', () => 5);
  // As it comes over the pipe.
  return JSON.parse(JSON.stringify(await metrics.registry.getMetricsAsJSON()));
}

test('counters are summed, other numbers as they say, and a counter does not fall when a worker dies', async () => {
  const own = new Metrics();
  own.watch('only_here', 'of the primary', () => 7);
  const summed = new SummedMetrics(own.registry);
  const both = await summed.text([
    { slot: 1, numbers: await worker(3, { open: 1 }) },
    { slot: 2, numbers: await worker(4, { open: 0 }) },
  ]);
  assert.match(both, /^watchglass_gateway_requests_total\{interaction="read",status="200"\} 7$/m);
  assert.match(both, /^watchglass_gateway_request_seconds_count\{interaction="read"\} 2$/m);
  assert.match(both, /^open 0$/m);
  assert.match(both, /^waiting 10$/m);
  assert.match(both, /^only_here 7$/m);
  await summed.end(2);
  await summed.end(2);
  const one = await summed.text([
    { slot: 1, numbers: await worker(5, { open: 1 }) },
    { slot: 2, numbers: undefined },
  ]);
  assert.match(one, /^watchglass_gateway_requests_total\{interaction="read",status="200"\} 9$/m);
  assert.match(one, /^waiting 5$/m);
  const again = await summed.text([{ slot: 2, numbers: await worker(1, { open: 1 }) }]);
  assert.match(again, /^watchglass_gateway_requests_total\{interaction="read",status="200"\} 10$/m);
});
