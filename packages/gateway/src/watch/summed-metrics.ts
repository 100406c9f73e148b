/**
 * The numbers of many processes as those of one gateway: each summed, or the least or most of all, as the metric itself says. What a worker had counted when it was last asked stays in the
 * sum after it died, so that a counter never falls; what it counted after that is lost with it.
 */
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue, type Registry } from 'prom-client';

export type Numbers = readonly MetricObjectWithValues<MetricValue<string>>[];

const growing: ReadonlySet<string> = new Set(['counter', 'histogram']);

export class SummedMetrics {
  readonly #own: Registry;
  readonly #last = new Map<number, Numbers>();
  #ended: Numbers = [];

  constructor(own: Registry) {
    this.#own = own;
  }

  get contentType(): string {
    return this.#own.contentType;
  }

  /** The worker in `slot` is no more; another begins from nothing. */
  async end(slot: number): Promise<void> {
    const last = this.#last.get(slot);
    if (last === undefined) return;
    this.#last.delete(slot);
    const kept = last.filter(({ type }) => growing.has(String(type)));
    this.#ended = await sumOf([this.#ended, kept]).getMetricsAsJSON();
  }

  /** `now`: what each worker that answers says. */
  async text(now: readonly { readonly slot: number; readonly numbers: unknown }[]): Promise<string> {
    for (const { slot, numbers } of now) if (areNumbers(numbers)) this.#last.set(slot, numbers);
    const own = await this.#own.getMetricsAsJSON();
    return sumOf([own, ...this.#last.values(), this.#ended]).metrics();
  }
}

function sumOf(all: readonly Numbers[]): Registry {
  return AggregatorRegistry.aggregate(all as unknown as object[]) as Registry;
}

function areNumbers(value: unknown): value is Numbers {
  return (
    Array.isArray(value) &&
    value.every(
      (one: unknown) =>
        typeof one === 'object' &&
        one !== null &&
        'name' in one &&
        typeof one.name === 'string' &&
        'values' in one &&
        Array.isArray(one.values),
    )
  );
}
