/**
 * Other stores that keep events durably and, but for the log file, chain them by hashes, driven as their own documentation would: by one
 * writer, in calls of a hundred events, the next call when the one before is on the disk. What isn't there is named and left out.
 *
 * Hypercore and the client for PostgreSQL are installed into `bench/rivals/` when they are first asked for, and by nothing else.
 */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chown, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';

export const callEvents = 100;

export interface Rival {
  readonly name: string;
  /** Calls in a turn: enough for some tenths of a second. */
  readonly turnCalls: number;
  /** Resolves when the events of the call are stored as well as it stores them. */
  append(events: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

const manifestDir = join(import.meta.dirname, 'rivals');
const run = promisify(execFile);

export async function openRivals(dir: string, log: (line: string) => void): Promise<Rival[]> {
  await mkdir(dir, { recursive: true });
  await install(log);
  const rivals: Rival[] = [];
  const openers = {
    SQLite: openSqlite,
    hypercore: (path: string) => openHypercore(path, { oneByOne: false }),
    'hypercore-one-by-one': (path: string) => openHypercore(path, { oneByOne: true }),
    PostgreSQL: openPostgres,
    pino: openPino,
  };
  for (const [name, open] of Object.entries(openers)) {
    try {
      rivals.push(await open(join(dir, name)));
    } catch (error) {
      log(`${name} is left out: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
    }
  }
  return rivals;
}

async function install(log: (line: string) => void): Promise<void> {
  if (existsSync(join(manifestDir, 'node_modules'))) return;
  log('installing hypercore and pg into bench/rivals, once');
  const options = ['install', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', options, { cwd: manifestDir }).catch((error: unknown) =>
    log(`that failed: ${String(error).split('\n')[0]}`),
  );
}

/** A table with a column for the hash of the row and the hash before it; one transaction a call, WAL, `synchronous = FULL`. */
async function openSqlite(path: string): Promise<Rival> {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec('CREATE TABLE audit (seq INTEGER PRIMARY KEY, event TEXT NOT NULL, hash TEXT NOT NULL)');
  const insert = database.prepare('INSERT INTO audit (event, hash) VALUES (?, ?)');
  let last = '';
  return {
    name: 'SQLite with a hash column',
    turnCalls: 60,
    async append(events) {
      database.exec('BEGIN');
      for (const event of events) {
        last = hash('sha256', last + event);
        insert.run(event, last);
      }
      database.exec('COMMIT');
    },
    close: async () => database.close(),
  };
}

interface Core {
  ready(): Promise<void>;
  append(blocks: Uint8Array | readonly Uint8Array[]): Promise<unknown>;
  close(): Promise<void>;
}

/** A signed Merkle log of blocks, as it comes: it doesn't wait for the disk. */
async function openHypercore(path: string, { oneByOne }: { readonly oneByOne: boolean }): Promise<Rival> {
  const Hypercore = load('hypercore') as new (path: string) => Core;
  const core = new Hypercore(path);
  await core.ready();
  return {
    name: oneByOne ? 'hypercore append, one by one' : 'hypercore append of a hundred',
    turnCalls: oneByOne ? 5 : 40,
    async append(events) {
      const blocks = events.map((event) => Buffer.from(event));
      if (oneByOne) for (const block of blocks) await core.append(block);
      else await core.append(blocks);
    },
    close: () => core.close(),
  };
}

interface PgClient {
  connect(): Promise<void>;
  query(text: string, values?: readonly unknown[]): Promise<unknown>;
  end(): Promise<void>;
}

/** A table with a trigger that chains each row to the one before it, on a server of its own behind a socket; one statement a call. */
async function openPostgres(): Promise<Rival> {
  const bin = await postgresBin();
  const { Client } = load('pg') as { Client: new (options: Record<string, string>) => PgClient };
  // It runs as another user than root, who must be able to walk to its directory.
  const dir = await mkdtemp(join(tmpdir(), 'bench-pg-'));
  const user = process.getuid?.() === 0 ? otherUser() : undefined;
  if (user !== undefined) await chown(dir, user.uid, user.gid);
  const data = join(dir, 'data');
  const pg = (command: string, ...args: string[]): Promise<unknown> =>
    run(join(bin, command), args, { cwd: dir, ...(user ?? {}) });
  const stop = async (): Promise<void> => {
    await pg('pg_ctl', '-D', data, '-m', 'fast', '-w', 'stop').catch(() => undefined);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await pg('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8');
    await pg(
      'pg_ctl',
      '-D',
      data,
      '-l',
      join(dir, 'server.log'),
      '-w',
      '-o',
      `-k ${dir} -c listen_addresses=`,
      'start',
    );
    const client = new Client({ host: dir, user: 'postgres', database: 'postgres' });
    await client.connect();
    await client.query('CREATE TABLE audit (seq bigserial PRIMARY KEY, event text NOT NULL, hash bytea)');
    await client.query(
      `CREATE FUNCTION chain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         NEW.hash := sha256(coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), '') || convert_to(NEW.event, 'UTF8'));
         RETURN NEW; END $$`,
    );
    await client.query('CREATE TRIGGER chained BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION chain()');
    return {
      name: 'PostgreSQL with a trigger',
      turnCalls: 40,
      append: async (events) =>
        void (await client.query('INSERT INTO audit (event) SELECT unnest($1::text[])', [events])),
      async close() {
        await client.end();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Where `initdb` and `pg_ctl` are: Debian keeps them out of the PATH. */
async function postgresBin(): Promise<string> {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? (await readdir(debian)).sort() : [];
  const dirs = [...versions.map((version) => join(debian, version, 'bin')), ...(process.env.PATH ?? '').split(':')];
  const found = dirs.find((dir) => existsSync(join(dir, 'initdb')) && existsSync(join(dir, 'pg_ctl')));
  if (found === undefined) throw new Error('it is not installed (Debian: apt-get install postgresql)');
  return found;
}

function otherUser(): { readonly uid: number; readonly gid: number } {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('there is no other user than root to run it as');
}

interface PinoDestination {
  flush(done: (error?: Error) => void): void;
  end(): void;
}

/** Lines in a file, no chain; each call flushed and fsynced. */
async function openPino(path: string): Promise<Rival> {
  const pino = createRequire(join(import.meta.dirname, '../packages/server/package.json'))('pino') as {
    (options: object, destination: PinoDestination): { info(facts: object): void };
    destination(options: object): PinoDestination;
  };
  const destination = pino.destination({
    dest: path,
    sync: false,
    fsync: true,
    minLength: 16_000,
    maxWrite: 1024 * 1024,
  });
  const logger = pino({}, destination);
  return {
    name: 'pino to a file with fsync',
    turnCalls: 60,
    append: (events) =>
      new Promise((resolve, reject) => {
        for (const event of events) logger.info({ event });
        destination.flush((error) => (error instanceof Error ? reject(error) : resolve()));
      }),
    close: async () => destination.end(),
  };
}

function load(name: string): unknown {
  try {
    return createRequire(join(manifestDir, 'package.json'))(name);
  } catch (cause) {
    throw new Error(`it is not installed: npm install --prefix bench/rivals (${String(cause).split('\n')[0]})`);
  }
}
