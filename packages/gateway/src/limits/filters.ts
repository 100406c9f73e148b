/**
 * Who is let in by address at all: a deny list, and an allow list outside of which nobody is. Each has what the configuration says and what its file says; a file
 * that changes is read again, and one that can't be read leaves what was in force, and is told about once.
 */
import { readFile } from 'node:fs/promises';

import { type AddressEntry, AddressList, parseAddressList } from './address-list.ts';

export type FilterList = 'allow' | 'deny';

export type FilterNews =
  | { readonly kind: 'replaced'; readonly list: FilterList; readonly entriesCount: number }
  | {
      readonly kind: 'refused';
      readonly list: FilterList;
      readonly fault: 'unreadable' | 'bad-line';
      readonly line?: number;
    };

export interface FilterSource {
  /** Of the configuration itself. */
  readonly entries: readonly AddressEntry[];
  readonly file?:
    | { readonly path: string; readonly text: string; readonly entries: readonly AddressEntry[] }
    | undefined;
}

export interface FilterSettings {
  readonly allow: FilterSource;
  readonly deny: FilterSource;
  readonly reloadEveryMs: number;
}

export type FilterRefusal = 'address-denied' | 'address-not-allowed';

export class Filters implements Disposable {
  readonly #now: () => number;
  readonly #onNews: (news: FilterNews) => void;
  readonly #lists: Record<FilterList, AddressList>;
  readonly #sources: Record<FilterList, FilterSource>;
  /** What stands in the files, as far as it was judged. */
  readonly #seen: Record<FilterList, string | undefined>;
  readonly #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;

  constructor(
    settings: FilterSettings,
    options: { readonly onNews: (news: FilterNews) => void; readonly now?: () => number },
  ) {
    const { allow, deny } = settings;
    this.#now = options.now ?? Date.now;
    this.#onNews = options.onNews;
    this.#sources = { allow, deny };
    this.#lists = { allow: listOf(allow, allow.file?.entries), deny: listOf(deny, deny.file?.entries) };
    this.#seen = { allow: allow.file?.text, deny: deny.file?.text };
    if (allow.file === undefined && deny.file === undefined) return;
    this.#timer = setInterval(() => void this.check(), settings.reloadEveryMs);
    this.#timer.unref();
  }

  /** Why an address is not let in. An unknown one, as of a connection that was reset at once, could be on either list. */
  refusal(address: string | undefined): FilterRefusal | undefined {
    const { allow, deny } = this.#lists;
    if (deny.empty && allow.empty) return undefined;
    const nowMs = this.#now();
    if (deny.includes(address, nowMs)) return 'address-denied';
    if (!allow.empty) return allow.includes(address, nowMs) ? undefined : 'address-not-allowed';
    return address === undefined ? 'address-denied' : undefined;
  }

  sizeOf(list: FilterList): number {
    return this.#lists[list].size;
  }

  /** Looks at the files now. Never rejects. */
  check(): Promise<void> {
    this.#checking ??= Promise.all([this.#checkOne('allow'), this.#checkOne('deny')])
      .then(() => undefined)
      .finally(() => {
        this.#checking = undefined;
      });
    return this.#checking;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #checkOne(list: FilterList): Promise<void> {
    const source = this.#sources[list];
    if (source.file === undefined) return;
    const text = await readFile(source.file.path, 'utf8').catch(() => undefined);
    const seen = text ?? unreadable;
    if (seen === this.#seen[list]) return;
    this.#seen[list] = seen;
    if (text === undefined) return this.#onNews({ kind: 'refused', list, fault: 'unreadable' });
    const parsed = parseAddressList(text);
    if (parsed.kind === 'bad') return this.#onNews({ kind: 'refused', list, fault: 'bad-line', line: parsed.line });
    // An allow list that was emptied would let everybody in: whoever means that removes it from the configuration.
    if (list === 'allow' && parsed.entries.length === 0)
      return this.#onNews({ kind: 'refused', list, fault: 'bad-line', line: 1 });
    this.#lists[list] = listOf(source, parsed.entries);
    this.#onNews({ kind: 'replaced', list, entriesCount: parsed.entries.length });
  }
}

/** No text of a file: it holds a NUL. */
const unreadable = '\0unreadable';

function listOf({ entries }: FilterSource, more: readonly AddressEntry[] = []): AddressList {
  return new AddressList([...entries, ...more]);
}
