/** The report of red intervals in the description of the API. */
import { redKinds } from '../review/completeness/red-interval.ts';
import { answer, type Json, list, type Operation, object, problems, signedIn, text, whole } from './openapi-words.ts';

const moment: Json = { type: 'string', format: 'date-time' };

const interval: Json = object(
  {
    kind: { enum: redKinds },
    from: moment,
    to: moment,
    ongoing: { const: true, description: 'Present where it had not ended.' },
    emitter: text,
    evidence: { ...list(whole), description: 'Indexes of the events it follows from.' },
    words: text,
  },
  ['kind', 'from', 'to', 'evidence', 'words'],
);

const report: Json = object(
  {
    tenant: text,
    verdict: {
      enum: ['red', 'clear', 'partial'],
      description: '`clear` only where everything that was asked for was examined.',
    },
    words: text,
    red: list(interval),
    redOmitted: { ...whole, description: 'Older ones that are not listed.' },
    examined: object({
      from: moment,
      to: moment,
      first: whole,
      end: { ...whole, description: 'Exclusive.' },
      signs: whole,
    }),
    unexamined: list(object({ from: moment, to: moment, words: text }, ['words'])),
    limits: { ...list(text), description: 'What cannot be seen from here at all.' },
    emitters: list(
      object(
        {
          id: text,
          received: whole,
          lastSeq: whole,
          missing: whole,
          counts: { type: 'boolean', description: 'It counts its requests, so that its silence can be told.' },
          lastSign: moment,
        },
        ['id', 'received', 'lastSeq', 'missing', 'counts'],
      ),
    ),
    emittersOmitted: whole,
  },
  ['tenant', 'verdict', 'words', 'red', 'examined', 'unexamined', 'limits', 'emitters'],
);

export const completenessPaths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/v1/completeness': {
    get: {
      summary: 'When the record may be incomplete, and what that follows from. Recorded before it is answered.',
      security: signedIn,
      parameters: [
        { name: 'from', in: 'query', schema: moment, description: 'Inclusive; a day before `to` unless given.' },
        {
          name: 'to',
          in: 'query',
          schema: moment,
          description: 'Exclusive; now unless given. At most 400 days after `from`.',
        },
        { name: 'tenant', in: 'query', schema: text, description: 'For the operator where there are several tenants.' },
      ],
      responses: { '200': answer('The report.', report), ...problems(400, 401, 403, 404, 429, 503) },
    },
  },
};
