/** The seal, its chain in one sentence, and behind a click the links and hashes. */
import { encodeBase64, splitNote } from '@watchglass/record';
import { ChevronRight } from 'lucide-react';
import { type ReactElement, useState } from 'react';
import type { ListedEvent } from '../api/client.ts';
import { useTenant } from '../ledger/use-log.ts';
import type { Chain, Link, Verdict } from '../proof/check-proof.ts';
import { recall } from '../proof/log-memory.ts';
import { formatCount, plural } from '../text/number.ts';
import { formatFullTime } from '../time/format.ts';
import type { Zone } from '../time/range.ts';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { CopyButton } from '../ui/copy-button.tsx';
import { Seal, SealShape, type SealState } from '../ui/seal.tsx';
import { sealOfVerdict } from './use-verdict.ts';

export interface ProofSectionProps {
  readonly event: ListedEvent;
  readonly verdict: Verdict | undefined;
  readonly error: unknown;
  readonly zone: Zone;
  readonly onRetry: () => void;
}

export function ProofSection({ event, verdict, error, zone, onRetry }: ProofSectionProps): ReactElement {
  const [open, setOpen] = useState(false);
  const state: SealState = verdict ? sealOfVerdict(verdict) : error ? 'unchecked' : 'checking';
  const broken = state === 'not-intact';
  const chain = verdict?.kind === 'sealed' ? verdict.chain : undefined;
  return (
    <section
      aria-label="Proof"
      className={classNames('mx-6 rounded-lg border', broken ? 'border-red-mark bg-red-wash' : 'border-line bg-page')}
    >
      <button
        type="button"
        aria-expanded={open}
        disabled={!chain}
        onClick={() => setOpen(!open)}
        className="flex w-full items-start gap-3 rounded-lg px-4 py-3 text-left disabled:cursor-default"
      >
        <span className="min-w-0 flex-1">
          <span role="status" className="block">
            <Seal state={state} />
          </span>
          <span className="mt-1 block text-ink-2">{sentence(verdict, error)}</span>
        </span>
        {chain && (
          <ChevronRight
            className={classNames('mt-0.5 size-4 shrink-0 text-ink-3 transition-transform', open && 'rotate-90')}
            aria-hidden="true"
          />
        )}
      </button>
      {Boolean(error) && !verdict && (
        <div className="px-4 pb-3">
          <Button onClick={onRetry}>Check again</Button>
        </div>
      )}
      {open && chain && verdict?.kind === 'sealed' && (
        <ChainLinks event={event} chain={chain} verdict={verdict} zone={zone} />
      )}
    </section>
  );
}

const breaks: Readonly<Record<Link, string>> = {
  proof: 'The server’s proof is not of this event.',
  signature: 'The checkpoint is not signed by the key this browser remembers.',
  inclusion: 'The signed tree does not hold this event at this place.',
  content: 'The ledger holds something else than what is shown.',
  history: 'The proof belongs to another history than the one this browser has proof of.',
};

function sentence(verdict: Verdict | undefined, error: unknown): string {
  if (!verdict) {
    return error
      ? 'The proof could not be fetched. Nothing is known to be wrong with the event.'
      : 'Fetching the proof, to check it in this browser.';
  }
  switch (verdict.kind) {
    case 'sealed': {
      const place = `number ${formatCount(Number(verdict.chain.index))} of the ${formatCount(Number(verdict.chain.size))}`;
      return verdict.opening.kind === 'equal'
        ? `This browser opened the leaf, found exactly this event in it, and followed it to the signed root: it is ${place} in the ledger.`
        : `This browser followed the leaf to the signed root: it is ${place} in the ledger. What it holds is opened to privacy officers and auditors only.`;
    }
    case 'pending':
      return `It is stored. The newest signed checkpoint ends at ${formatCount(Number(verdict.size))}; the next one will cover it.`;
    case 'not-intact':
      return `${breaks[verdict.link]} ${verdict.reason}`;
    default:
      return verdict satisfies never;
  }
}

interface ChainLinksProps {
  readonly event: ListedEvent;
  readonly chain: Chain;
  readonly verdict: Extract<Verdict, { kind: 'sealed' }>;
  readonly zone: Zone;
}

function ChainLinks({ chain, verdict, zone }: ChainLinksProps): ReactElement {
  const tenant = useTenant();
  const log = recall(localStorage, tenant);
  const { opening } = verdict;
  return (
    <ol className="flex flex-col gap-4 border-line border-t px-4 py-4">
      {opening.kind === 'equal' && (
        <ChainLink
          title="The event opens the leaf"
          text={`The stored record and its 32 secret bytes hash to the commitment in the leaf, and every field shown equals it${
            opening.pseudonyms > 0
              ? `; ${plural(opening.pseudonyms, 'identifier')} ${opening.pseudonyms === 1 ? 'is' : 'are'} shown by pseudonym`
              : ''
          }.`}
          hashes={[['leaf', encodeBase64(chain.leafHash)]]}
        />
      )}
      <ChainLink
        title="The leaf leads to the root"
        text={`${formatCount(chain.hashes.length)} neighbouring hashes lead from leaf ${formatCount(Number(chain.index))} to the root of all ${formatCount(Number(chain.size))} (RFC 6962).`}
        hashes={[
          ...(opening.kind === 'withheld' ? [['leaf', encodeBase64(chain.leafHash)] as const] : []),
          ...chain.hashes.map((hash, i) => [`${i + 1}`, encodeBase64(hash)] as const),
          ['root', encodeBase64(chain.root)],
        ]}
      />
      <ChainLink
        title="The root is signed"
        text={`The checkpoint of ${chain.origin} is signed with Ed25519 by the key this browser has remembered${log ? ` since ${formatFullTime(log.since, zone)}` : ''}.${sayCosigned(chain)}`}
        hashes={log ? [['key', log.vkey]] : []}
      >
        <div className="relative mt-2">
          <pre className="mono overflow-x-auto whitespace-pre-wrap break-all rounded-md bg-sunken p-3 pr-10 text-ink-2 text-xs">
            {chain.checkpoint}
          </pre>
          <CopyButton text={chain.checkpoint} what="checkpoint" className="absolute top-2 right-2" />
        </div>
      </ChainLink>
      <ChainLink
        title="History is the same"
        text="The signed tree continues every checkpoint this browser has seen of this log."
        hashes={[]}
      />
    </ol>
  );
}

/** Whose keys the witnesses have only a policy tells, and this browser has none: counted, not claimed. */
function sayCosigned({ checkpoint, origin }: Chain): string {
  const names = new Set(splitNote(checkpoint).signatures.map(({ name }) => name));
  names.delete(origin);
  return names.size === 0
    ? ''
    : ` It carries the cosignatures of ${plural(names.size, 'witness', 'witnesses')}; watchglass verify --policy checks them.`;
}

interface ChainLinkProps {
  readonly title: string;
  readonly text: string;
  readonly hashes: readonly (readonly [string, string])[];
  readonly children?: ReactElement;
}

function ChainLink({ title, text, hashes, children }: ChainLinkProps): ReactElement {
  return (
    <li className="flex gap-3">
      <SealShape state="sealed" className="mt-0.5" />
      <div className="min-w-0 flex-1">
        <p className="font-medium">{title}</p>
        <p className="text-ink-2">{text}</p>
        {hashes.length > 0 && (
          <dl className="mt-2 grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 gap-y-0.5 text-xs">
            {hashes.map(([name, hash]) => (
              <div key={name} className="contents">
                <dt className="text-right text-ink-3">{name}</dt>
                <dd className="mono break-all text-ink-2">{hash}</dd>
              </div>
            ))}
          </dl>
        )}
        {children}
      </div>
    </li>
  );
}
