/** Opens the lock-outs of a gateway with what was kept of them, keeps what begins, and tells the record and the log what becomes of them. */
import { join } from 'node:path';

import type { Logger } from 'pino';

import { ownEvent } from './capture/own-event.ts';
import type { Recorder } from './capture/recorder.ts';
import type { GatewayConfig } from './config/config.ts';
import { GatewayError } from './errors.ts';
import { Lockout, type LockoutNews } from './limits/lockout.ts';
import { LockoutFile } from './limits/lockout-file.ts';
import { type Party, partyOf } from './limits/party.ts';

interface Parts {
  readonly recorder: Recorder;
  readonly logger: Logger;
}

export interface OpenedLockout extends AsyncDisposable {
  readonly lockout: Lockout | undefined;
}

/** `onNews`: for whoever else has to hear of it. Throws `GatewayError` where its file can't be had. */
export async function openLockout(
  config: GatewayConfig,
  parts: Parts & { readonly onNews: (news: LockoutNews) => void },
): Promise<OpenedLockout> {
  const settings = config.edge.lockout;
  if (settings === undefined) return { lockout: undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
  const { recorder, logger } = parts;
  const directory = config.spool.dir;
  const onFault = (): void => logger.error('a lock-out could not be kept; it is in force, but a restart may forget it');
  const file = await LockoutFile.open({
    file: join(directory, 'lockouts'),
    onFault,
    waryMs: settings.blockMsMax,
  }).catch((cause: NodeJS.ErrnoException) => {
    throw new GatewayError(
      'config-unreadable',
      `expected to read and write the file lockouts in ${directory}, got ${cause.code ?? 'an error'}; check who owns it, and the room on the disk`,
      { cause },
    );
  });
  if (file.damaged) {
    logger.error(
      { directory, seconds: Math.round(settings.blockMsMax / 1_000) },
      'the file of lock-outs is damaged; for as long as a block may last one failure is enough',
    );
    void recorder.record([ownEvent(config, { operation: 'lockouts-damaged', status: 'error' })]);
  }
  const lockout: Lockout = new Lockout(settings, {
    kept: file,
    onNews(news) {
      tellLockout(config, news, parts);
      if (news.kind === 'begin') {
        const block = lockout.keptOf(news.key);
        if (block !== undefined) file.add(block);
      }
      parts.onNews(news);
    },
  });
  file.from(() => lockout.kept());
  return { lockout, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
}

function tellLockout(config: GatewayConfig, { kind, key, blockMs }: LockoutNews, { recorder, logger }: Parts): void {
  const party = partyOf(key);
  const { by } = party;
  const words = kind === 'begin' ? 'locked out after too many failures' : 'a lock-out has ended';
  logger[kind === 'begin' ? 'warn' : 'info']({ by, seconds: Math.round(blockMs / 1_000) }, words);
  const operation = kind === 'begin' ? 'lockout-begun' : 'lockout-ended';
  void recorder.record([
    ownEvent(config, { operation, status: 'success', reason: `lockout-${by}`, ...targetsOf(party) }),
  ]);
}

/** Of a person the client is named as well: nobody is shut out of another one. */
function targetsOf(party: Party): Pick<Parameters<typeof ownEvent>[1], 'target' | 'targets'> {
  switch (party.by) {
    case 'address':
      return { target: { type: 'Address', id: addressOf(party.around) } };
    case 'client':
      return { target: { type: 'Client', id: party.client } };
    case 'person':
      return {
        target: { type: 'Actor', id: party.id },
        ...(/^[!-~]{1,256}$/.test(party.client)
          ? { targets: [{ type: 'Client', id: party.client, role: 'object' }] }
          : {}),
      };
    default:
      return party satisfies never;
  }
}

/** Of an IPv6 neighbourhood its range. */
function addressOf(around: string): string {
  return around.includes(':') ? `${around}::/64` : around;
}
