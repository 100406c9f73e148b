/** For tests only, in a process with little memory: reads a Bundle that is far larger than that, piece by piece, and says what it learnt. */
import { BundleReader } from './bundle-reader.ts';

const entriesCount = 60_000;
const padding = Array.from({ length: 100 }, (_, n) => ({ text: `note ${n}` }));

function entryAt(n: number): string {
  const resource = { resourceType: 'Patient', id: `p-${n % 40}`, name: padding };
  return JSON.stringify({ fullUrl: `urn:uuid:${n}`, resource });
}

const reader = new BundleReader(Buffer.from(`{"resourceType":"Bundle","entry":[${entryAt(0)},`), {
  pieceBytesMax: 65_536,
});
for (let n = 1; n < entriesCount; n += 1) reader.push(Buffer.from(`${entryAt(n)},`));
reader.push(Buffer.from(`${entryAt(0)}]}`));
const { exposure } = await reader.finish(true);
process.stdout.write(
  JSON.stringify({ patients: exposure.patients?.length, count: exposure.count, truncated: exposure.truncated }),
);
