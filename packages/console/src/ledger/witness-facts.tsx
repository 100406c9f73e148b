/** How far witnesses vouch for the log, as the server says; which one doesn't, and why. */
import type { ReactElement } from 'react';
import type { WitnessState } from '../api/server-status.ts';
import { formatCount, plural } from '../text/number.ts';
import { formatSpan } from '../time/format.ts';

export function WitnessFacts({ witnesses: said }: { readonly witnesses: WitnessState }): ReactElement {
  const failing = said.witnesses.filter(({ reason }) => reason !== undefined);
  return (
    <>
      <span className={said.state === 'witnessed' ? undefined : 'font-medium text-amber'}>{sayWitnessState(said)}</span>
      {failing.map(({ name, reason }) => (
        <span key={name} className="block text-ink-2">
          <span className="mono">{name}</span>: {reason}
        </span>
      ))}
    </>
  );
}

/** One sentence. */
export function sayWitnessState({ state, size, behind, cosignatures, ageSeconds }: WitnessState): string {
  if (state === 'none') return 'No quorum of witnesses has cosigned a checkpoint yet';
  const age = ageSeconds === undefined ? '' : `, ${formatSpan(ageSeconds * 1000)} ago`;
  const rest = behind > 0 ? `; nobody else vouches for the ${formatCount(behind)} after it yet` : '';
  return `${plural(cosignatures, 'witness', 'witnesses')} cosigned the first ${plural(size, 'event')}${age}${rest}`;
}
