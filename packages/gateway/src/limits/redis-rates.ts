/**
 * The same rates, counted together by many gateways in Redis: the algorithm runs there as one script, by Redis's own clock, so no gateway's clock and no race
 * between two of them matters. While Redis is away each gateway counts by itself, with its share of each rate, and nobody waits.
 *
 * Keys hold a hash of whom they count: Redis learns no name.
 */
import { hash } from 'node:crypto';

import type { Taken } from './rate-table.ts';
import type { RateRule, SharedRates } from './rates.ts';
import { RedisConnection, type RedisSettings, type Reply } from './redis-connection.ts';

export interface RedisRatesSettings extends RedisSettings {
  readonly prefix: string;
  readonly share: number;
}

/** ARGV: microseconds between two, by how much one may come early, what is needed of that, and what is taken. Answers whether it may, and how long to wait in microseconds. */
const script = `
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local interval = tonumber(ARGV[1])
local whole = tonumber(redis.call('GET', KEYS[1]) or '0')
if whole < now then whole = now end
local over = whole - now - tonumber(ARGV[2]) + tonumber(ARGV[3])
if over > 0 then return {0, math.ceil(over), 0} end
whole = whole + tonumber(ARGV[4])
redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000))
return {1, 0, math.max(0, math.floor((tonumber(ARGV[2]) - (whole - interval - now)) / interval))}
`;

export class RedisRates implements SharedRates, Disposable {
  readonly share: number;
  readonly #prefix: string;
  readonly #connection: RedisConnection;
  #script = '';

  constructor(settings: RedisRatesSettings, options: { readonly onChange: (answers: boolean) => void }) {
    this.share = settings.share;
    this.#prefix = settings.prefix;
    this.#connection = new RedisConnection(settings, {
      prepare: async (ask) => {
        const loaded = await ask('SCRIPT', 'LOAD', script);
        if (typeof loaded !== 'string') return false;
        this.#script = loaded;
        return true;
      },
      onChange: options.onChange,
    });
  }

  get answers(): boolean {
    return this.#connection.ready;
  }

  async take(rule: RateRule, key: string, count = 1): Promise<Taken | undefined> {
    // Whole microseconds, upwards: what is rounded off must not add up to more than the rate.
    const interval = Math.ceil((rule.windowMs * 1_000) / rule.limit);
    const burst = rule.burst ?? rule.limit;
    const tolerance = interval * (burst - 1);
    const needed = interval * (Math.min(count, burst) - 1);
    const name = `${this.#prefix}${rule.name}:${hash('sha256', key, 'base64url')}`;
    const words = [name, ...[interval, tolerance, needed, interval * count].map(String)];
    const first = await this.#connection.ask('EVALSHA', this.#script, '1', ...words);
    // Redis was started anew behind a connection that stayed, or forgot its scripts: it is told again.
    const reply = first ?? (this.answers ? await this.#connection.ask('EVAL', script, '1', ...words) : undefined);
    return takenOf(reply);
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

function takenOf(reply: Reply | undefined): Taken | undefined {
  if (!Array.isArray(reply)) return undefined;
  const [allowed, waitUs, remainingCount] = reply as readonly Reply[];
  if (typeof waitUs !== 'number' || typeof remainingCount !== 'number') return undefined;
  return { allowed: allowed === 1, remainingCount, retryMs: waitUs / 1_000 };
}
