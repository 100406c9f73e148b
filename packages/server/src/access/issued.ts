/**
 * What the embedded issuer gave and has to know again after a restart: grants, codes, refresh tokens, launches, sign-ins, and the assertions and proofs that were seen. In `state.sqlite`, found
 * by a keyed digest of what was given and sealed (state-seal.ts): whoever has the file has no token.
 *
 * What is given is written cheaply: losing it in a power failure makes somebody sign in again. What is used up, ended or seen is durable when it returns, and counted (state-mark.ts): call
 * `settled` before an answer leaves. Bounded for each kind: the oldest goes first, except of what was seen and must not be seen again, where a full store takes nothing more, and of refresh
 * tokens, where the grant that was renewed most often ends with all it gave: renewing without end signs nobody else out, and pushes no used token out of its family.
 */
import { ServerError } from '../errors.ts';
import type { Clock } from '../world/world.ts';
import { cheaply, inTransaction, openMarks, type State, text, within } from './state.ts';
import type { StateMark } from './state-mark.ts';
import type { StateSeal } from './state-seal.ts';

/** How many of each are held at most. */
export const issuedMax = {
  Grant: 10_000,
  AuthorizationCode: 10_000,
  // Each renewal leaves one that was used, by which a second use is found out.
  RefreshToken: 50_000,
  SignIn: 10_000,
  Launch: 20_000,
  /** Assertions of clients and proofs of DPoP, by `jti`. */
  ReplayDetection: 100_000,
} as const;
export type IssuedKind = keyof typeof issuedMax;

const purgePeriodMs = 60_000;
const forgottenName = 'seen-until';
/** Past it the clock was so wrong that what it was then says nothing. */
const forgottenAheadMsMax: number = 60 * 60_000;

export interface IssuedEntry {
  readonly payload: object;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
  /** Ends with this one. */
  readonly grantId?: string | undefined;
}

export interface FoundIssued extends Omit<IssuedEntry, 'grantId'> {
  readonly usedMs?: number;
}

export interface Issued {
  /** One that is there already keeps that it was used. `durable` is for what ends something. */
  put(kind: IssuedKind, id: string, entry: IssuedEntry, how?: 'cheap' | 'durable'): void;
  /** Durable; false where it was there already. @throws ServerError `unavailable` when it is full, or can't know */
  putFirst(kind: IssuedKind, id: string, entry: IssuedEntry): boolean;
  get(kind: IssuedKind, id: string): FoundIssued | undefined;
  /** Durable; false where it was used before, or isn't there. */
  use(kind: IssuedKind, id: string): boolean;
  drop(kind: IssuedKind, id: string): void;
  /** The grant and what it gave. Not the sign-in: whoever has to hear of its end is found by it. */
  dropGrant(grantId: string): void;
  all(kind: IssuedKind): readonly FoundIssued[];
  settled(): Promise<void>;
}

export function openIssued(parts: {
  readonly state: State;
  readonly clock: Clock;
  readonly seal: StateSeal;
  readonly mark: StateMark;
}): Issued {
  const { state, clock, seal, mark } = parts;
  const marks = openMarks(state);
  const select = state.prepare('SELECT sealed, used_ms, until_ms FROM issued WHERE kind = ? AND id = ?');
  const selectAll = state.prepare('SELECT id, sealed, used_ms, until_ms FROM issued WHERE kind = ? ORDER BY seq');
  const insert = state.prepare(
    'INSERT OR IGNORE INTO issued (kind, id, of_grant, sealed, until_ms) VALUES (?, ?, ?, ?, ?)',
  );
  const update = state.prepare('UPDATE issued SET of_grant = ?, sealed = ?, until_ms = ? WHERE kind = ? AND id = ?');
  const markUsed = state.prepare('UPDATE issued SET used_ms = ? WHERE kind = ? AND id = ? AND used_ms IS NULL');
  const remove = state.prepare('DELETE FROM issued WHERE kind = ? AND id = ?');
  const removeOf = state.prepare(`DELETE FROM issued WHERE of_grant = ? AND kind <> 'SignIn'`);
  const countOf = state.prepare(
    `SELECT kind, count(*) AS count FROM issued WHERE of_grant = ? AND kind <> 'SignIn' GROUP BY kind`,
  );
  const oldest = state.prepare('SELECT seq, of_grant FROM issued WHERE kind = ? ORDER BY seq LIMIT 1');
  const removeAt = state.prepare('DELETE FROM issued WHERE seq = ?');
  const mostRenewed = state.prepare(
    `SELECT of_grant FROM issued INDEXED BY issued_of WHERE of_grant IS NOT NULL AND kind = 'RefreshToken' GROUP BY of_grant ORDER BY count(*) DESC, min(seq) LIMIT 1`,
  );
  const newestOver = state.prepare(
    `SELECT max(until_ms) AS ms FROM issued WHERE kind = 'ReplayDetection' AND until_ms <= ?`,
  );
  const removeOver = state.prepare('DELETE FROM issued WHERE until_ms <= ?');
  const countAll = state.prepare('SELECT kind, count(*) AS count FROM issued GROUP BY kind');
  const counts = new Map<string, number>();
  let purgedMs = Number.NEGATIVE_INFINITY;

  const recount = (): void => {
    counts.clear();
    for (const row of countAll.iterate()) counts.set(text(row, 'kind'), Number(row.count));
  };
  /** Until when what was seen is forgotten: a clock that is behind it was set back. */
  const forgottenMs = (): number => Number(marks.get(forgottenName) ?? 0);
  const purge = (): void => {
    const nowMs = clock.now();
    const overMs = Number(newestOver.get(nowMs)?.ms ?? 0);
    if (overMs > forgottenMs()) marks.set(forgottenName, String(overMs));
    removeOver.run(nowMs);
    purgedMs = clock.monotonicMs();
    recount();
  };
  const purgeAtTimes = (): void => {
    if (clock.monotonicMs() - purgedMs >= purgePeriodMs) purge();
  };
  const placeOf = (kind: IssuedKind, name: string): string => `${kind}\n${name}`;
  const add = (kind: IssuedKind, name: string, { payload, untilMs, grantId }: IssuedEntry): boolean => {
    const sealed = seal.close(payload, placeOf(kind, name));
    const grant = grantId === undefined ? null : seal.nameOf('Grant', grantId);
    if (insert.run(kind, name, grant, sealed, Math.round(untilMs)).changes === 1) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      return true;
    }
    if (kind !== 'ReplayDetection') update.run(grant, sealed, Math.round(untilMs), kind, name);
    return false;
  };
  const found = (kind: IssuedKind, name: string, row: Record<string, unknown>): FoundIssued | undefined => {
    const untilMs = Number(row.until_ms);
    const payload = clock.now() < untilMs ? seal.open(text(row, 'sealed'), placeOf(kind, name)) : undefined;
    if (typeof payload !== 'object' || payload === null) return undefined;
    return { payload, untilMs, ...(row.used_ms === null ? {} : { usedMs: Number(row.used_ms) }) };
  };
  /** Past the bound something goes. */
  const makeRoom = (kind: IssuedKind): void => {
    if (kind === 'Grant' || kind === 'RefreshToken') {
      const grant = (kind === 'Grant' ? oldest.get(kind) : mostRenewed.get())?.of_grant;
      if (typeof grant !== 'string') return;
      for (const row of countOf.iterate(grant))
        counts.set(text(row, 'kind'), (counts.get(text(row, 'kind')) ?? 0) - Number(row.count));
      removeOf.run(grant);
    } else {
      removeAt.run(Number(oldest.get(kind)?.seq));
      counts.set(kind, issuedMax[kind]);
    }
  };
  const ending = <T>(run: () => T): T =>
    within(state, () => {
      mark.advance();
      return run();
    });

  cheaply(state, purge);
  return {
    put(kind, id, entry, how = 'cheap') {
      const run = (): void => {
        purgeAtTimes();
        if (add(kind, seal.nameOf(kind, id), entry) && (counts.get(kind) ?? 0) > issuedMax[kind]) makeRoom(kind);
      };
      if (how === 'durable') ending(run);
      else cheaply(state, run);
    },
    putFirst: (kind, id, entry) =>
      inTransaction(state, () => {
        purgeAtTimes();
        if ((counts.get(kind) ?? 0) >= issuedMax[kind]) purge();
        if ((counts.get(kind) ?? 0) >= issuedMax[kind]) throw notNow('too many assertions and proofs at once');
        const forgotten = forgottenMs();
        // Only a clock that was set back comes here. Until when a thing is kept doesn't tell whether it was seen: of a proof that goes by when it is shown.
        if (clock.now() < forgotten && forgotten - clock.now() <= forgottenAheadMsMax)
          throw notNow('the clock of the server was set back, and what was seen before is forgotten');
        return add(kind, seal.nameOf(kind, id), entry);
      }),
    get(kind, id) {
      const name = seal.nameOf(kind, id);
      const row = select.get(kind, name);
      return row === undefined ? undefined : found(kind, name, row);
    },
    use: (kind, id) => ending(() => markUsed.run(clock.now(), kind, seal.nameOf(kind, id)).changes === 1),
    drop: (kind, id) => ending(() => void remove.run(kind, seal.nameOf(kind, id))),
    dropGrant: (grantId) =>
      ending(() => {
        removeOf.run(seal.nameOf('Grant', grantId));
      }),
    all: (kind) => selectAll.all(kind).flatMap((row) => found(kind, text(row, 'id'), row) ?? []),
    settled: () => mark.settled(),
  };
}

/** Everything that was given to anybody is over, within the caller's transaction: nobody knows what of it has ended meanwhile. What was seen stays seen. */
export function endWhatWasGiven(state: State, nowMs: number): void {
  state.exec(`DELETE FROM issued WHERE kind <> 'ReplayDetection'; DELETE FROM sessions`);
  state.prepare('UPDATE people SET ended_ms = ?').run(nowMs);
}

function notNow(why: string): ServerError {
  return new ServerError('unavailable', `${why}; try again in a minute`, { retryAfterMs: 60_000 });
}
