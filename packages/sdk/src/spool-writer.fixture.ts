/** For tests only: a process that appends without end and prints each `seq` once its event is durable. To be killed. */
import { event, openTestSpool } from './spool.fixture.ts';

const spool = await openTestSpool(process.argv[2] as string, { maxBytes: 64 * 1024 * 1024 });
for (;;) {
  const appended = await Promise.all(Array.from({ length: 7 }, () => spool.append([event()])));
  process.stdout.write(appended.map(({ lastSeq }) => `${lastSeq}\n`).join(''));
}
