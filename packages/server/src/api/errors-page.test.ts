/** docs/errors.md is held equal to the tables of errors, in both directions; `WATCHGLASS_WRITE_DOCS=1 node --test …` writes it anew. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundleFindingTable, errorTable } from '@watchglass/record';
import { meaningTable } from '@watchglass/record/reader';
import { serverErrors } from '../errors.ts';
import { ledgerErrorCodes } from '../ledger/errors.ts';
import { witnessFaults } from '../ledger/witness/faults.ts';

const path = join(import.meta.dirname, '../../../../docs/errors.md');

function page(): string {
  const http = Object.entries(serverErrors).map(
    ([code, { status, title, remedy }]) => `| \`${code}\` | ${status} | ${title}. ${remedy} |`,
  );
  const rows = (table: Readonly<Record<string, string>>): string[] =>
    Object.entries(table).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return `${[
    '# Errors',
    '',
    'Every error has a stable `code`; messages say what was expected, what came and what to do, and never hold anything that identifies a patient.',
    'This page is held equal to the tables in the source by a test.',
    '',
    '## Over HTTP (`ServerError`)',
    '',
    'Answers are problem details (RFC 9457), `application/problem+json`: `type` is `urn:watchglass:error:<code>`; `title`, `status`, `detail`, `code` and `requestId` are',
    'always there. `errors` names places: `path` is a JSON Pointer into the request or, where `at` says which one of the body (from 0), into an event; `expected` and `got` are words. `429` and some `503`',
    'carry `Retry-After`. Codes with status 500 also stop the server at its start, where they are about its own files.',
    '',
    '| code | status | meaning, and what to do |',
    '|---|---|---|',
    ...http,
    '',
    '## The ledger (`LedgerError`)',
    '',
    'Seen by code that uses the ledger, and in the log; over HTTP each becomes one of the above.',
    '',
    '| code | meaning |',
    '|---|---|',
    ...rows(ledgerErrorCodes),
    '',
    '## Witnesses',
    '',
    'What can be wrong with a witness of a log: in `/healthz`, `/v1/status` and the log. No request fails by it.',
    '',
    '| code | meaning |',
    '|---|---|',
    ...rows(witnessFaults),
    '',
    '## `@watchglass/record` (`RecordError`)',
    '',
    '| code | meaning |',
    '|---|---|',
    ...rows(errorTable),
    '',
    '## A bundle of evidence',
    '',
    'What `watchglass verify FILE` and the page in a bundle find wrong ([bundle.md](bundle.md)), each with its place; exit code 3.',
    '',
    '| code | meaning |',
    '|---|---|',
    ...rows(bundleFindingTable),
    '',
    '## `watchglass fsck`',
    '',
    'What it finds ([completeness.md](completeness.md)), each with its log and index, or its place in the state, what was expected and what is there; exit code 3.',
    '',
    '| code | meaning |',
    '|---|---|',
    ...rows(meaningTable),
    '',
  ].join('\n')}`;
}

/** Tables may be set out in columns. */
function unpadded(text: string): string {
  return text.replaceAll(/ +\|/g, ' |').replaceAll(/\| ?-+ ?(?=\|)/g, '|---');
}

test('docs/errors.md lists every code there is, and no other', () => {
  if (process.env.WATCHGLASS_WRITE_DOCS === '1') writeFileSync(path, page());
  assert.equal(
    unpadded(readFileSync(path, 'utf8')),
    unpadded(page()),
    'run WATCHGLASS_WRITE_DOCS=1 node --test packages/server/src/api/errors-page.test.ts',
  );
});
