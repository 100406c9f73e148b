/**
 * `npm run fuzz`: raw requests against a gateway and its upstream, where nothing may reach the upstream otherwise than it was judged and recorded.
 *
 *   npm run fuzz -- --seconds 60        for so long, from --seed (drawn unless said) on
 *   npm run fuzz -- --replay 1234       one connection
 *
 * Exit code 1 where something was found: its seed is printed, and the least of it that still fails belongs into kept.ts.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { connectionOf } from './generate.ts';
import { replayRaw, runRaw } from './run.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, replay: { type: 'string' } },
});

if (values.replay === undefined) {
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  const { connections, passed, failures, nextSeed } = await runRaw({ seconds: Number(values.seconds), seed });
  console.log(
    `raw requests, seeds ${seed} to ${nextSeed - 1}: ${connections} connections, ${passed} requests reached the upstream, ${failures.length} disagreements`,
  );
  for (const { parser, seed: failed, what, pieces } of failures)
    console.log(`\n${parser}, seed ${failed}: ${what}\n${JSON.stringify(pieces, undefined, 2)}`);
  process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
} else {
  const seed = Number(values.replay);
  console.log(JSON.stringify(connectionOf(seed, '{token}'), undefined, 2));
  const found = await replayRaw((token) => connectionOf(seed, token));
  for (const line of found) console.log(line);
  if (found.length === 0) console.log(`seed ${seed}: they agree`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
