/** The paths of the public logs in the description of the API: what anybody may read, as c2sp.org/tlog-tiles has it. */
import { answer, list, type Operation, object, path, problems, text, textOf } from './openapi-words.ts';

export const logPaths: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/log': {
    get: {
      summary: 'The logs of this server.',
      responses: { '200': answer('The logs.', list(object({ tenant: text, origin: text }))) },
    },
  },
  '/log/{tenant}/checkpoint': {
    get: {
      summary: 'The newest signed checkpoint (c2sp.org/tlog-checkpoint).',
      parameters: [path('tenant')],
      responses: { '200': textOf('A signed note.'), ...problems(404) },
    },
  },
  '/log/{tenant}/cosigned': {
    get: {
      summary: 'The newest checkpoint that a quorum of witnesses vouches for, with their cosignatures.',
      parameters: [path('tenant')],
      responses: { '200': textOf('A signed note with cosignatures (c2sp.org/tlog-cosignature).'), ...problems(404) },
    },
  },
  '/log/{tenant}/vkey': {
    get: {
      summary:
        'The verifier keys, a line each, the newest first. Pin it from elsewhere: from here it proves self-consistency only.',
      parameters: [path('tenant')],
      responses: { '200': textOf('The keys.'), ...problems(404) },
    },
  },
  '/log/{tenant}/predecessor': {
    get: {
      summary: 'Which log this one goes on from, where it is a successor (docs/format.md, "Successor logs").',
      parameters: [path('tenant')],
      responses: { '200': textOf('A signed note.'), ...problems(404) },
    },
  },
  '/log/{tenant}/seals': {
    get: {
      summary: 'The epochs that are sealed (docs/format.md, "Seals").',
      parameters: [path('tenant')],
      responses: {
        '200': answer('Numbers, ascending.', { type: 'array', items: { type: 'integer' } }),
        ...problems(404),
      },
    },
  },
  '/log/{tenant}/seals/{number}': {
    get: {
      summary: 'The seal of an epoch. Keep the first one: it pins every epoch that is sealed after it.',
      parameters: [path('tenant'), path('number')],
      responses: { '200': textOf('A signed note.'), ...problems(404) },
    },
  },
  '/log/{tenant}/rotations': {
    get: {
      summary: 'The statements on the keys that sign checkpoints (docs/format.md, "Checkpoint keys").',
      parameters: [path('tenant')],
      responses: {
        '200': answer('Numbers, ascending.', { type: 'array', items: { type: 'integer' } }),
        ...problems(404),
      },
    },
  },
  '/log/{tenant}/rotations/{number}': {
    get: {
      summary: 'A statement on a key.',
      parameters: [path('tenant'), path('number')],
      responses: { '200': textOf('A signed note.'), ...problems(404) },
    },
  },
  '/log/{tenant}/tile/{path}': {
    get: {
      summary: 'A tile or entry bundle (c2sp.org/tlog-tiles).',
      parameters: [path('tenant'), path('path')],
      responses: {
        '200': {
          description: 'The tile.',
          content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
        },
        ...problems(404),
      },
    },
  },
};
