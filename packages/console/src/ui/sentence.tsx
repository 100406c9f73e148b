/** A sentence of parts, identifiers in their own face. */
import type { ReactElement } from 'react';
import type { Part } from '../text/sentence.ts';

export function Sentence({ parts }: { readonly parts: readonly Part[] }): ReactElement {
  let offset = 0;
  return (
    <>
      {parts.map((part) => {
        offset += part.text.length;
        if (part.kind === 'person') {
          return (
            <span key={offset} title={part.id}>
              {part.text}
            </span>
          );
        }
        return part.kind === 'id' ? (
          <span key={offset} title={part.text.trim()}>
            <span className="mono">{shorten(part.text.trimEnd())}</span>
            {part.text.endsWith(' ') && ' '}
          </span>
        ) : (
          <span key={offset}>{part.text}</span>
        );
      })}
    </>
  );
}

/** Twelve letters tell patients apart; six do on one screen, and the title has the rest. */
const pseudonymForm = /^(·\w{6})\w+/u;

function shorten(text: string): string {
  return text.replace(pseudonymForm, '$1');
}
