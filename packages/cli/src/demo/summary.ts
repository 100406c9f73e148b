/** What the demo prints when it is ready: where to look, who to sign in as, what to try. */
import { relative } from 'node:path';
import { type Io, paint } from '../io.ts';
import { formatTable } from '../table.ts';
import { type DemoFile, demoFilePath } from './demo-file.ts';

export interface SummaryFacts {
  readonly file: DemoFile;
  readonly dataDir: string;
  /** What `--data` said, if it was given: the commands below then need it too. */
  readonly shownData: string | undefined;
  readonly patient: string;
  readonly readyS: string;
  readonly io: Io;
}

export function summary(facts: SummaryFacts): string {
  const { file, patient, readyS, io } = facts;
  const bold = (text: string): string => paint(io, io.stdout, 'bold', text);
  const dim = (text: string): string => paint(io, io.stdout, 'dim', text);
  const data = facts.shownData === undefined ? '' : ` --data ${facts.shownData}`;
  const ca = shorter(io.cwd, file.ca);
  const demoFile = shorter(io.cwd, demoFilePath(facts.dataDir));
  const physicianAt = file.people.findIndex(({ role }) => role === 'physician');
  const tokenOf = `$(node -p "JSON.parse(fs.readFileSync('${demoFile}')).people[${physicianAt}].token")`;
  return [
    '',
    `${bold('Watchglass is running')} ${dim(`(ready in ${readyS} s)`)}`,
    '',
    `  Console   ${paint(io, io.stdout, 'cyan', file.urls.console)}`,
    `  Gateway   ${file.urls.gateway}/fhir   ${dim(`in front of ${file.urls.upstream}/fhir; CA ${ca}`)}`,
    `  Identity  ${file.urls.issuer}`,
    '',
    bold('Sign in to the console as'),
    ...peopleTable(file, (role) => !clinicalRoles.has(role)),
    '',
    `${bold('These people work through the gateway')} ${dim(`(their access tokens are in ${demoFile})`)}`,
    ...peopleTable(file, (role) => clinicalRoles.has(role)),
    '',
    `${bold('Try')}`,
    dim('  A physician reads a patient; the read is recorded before the answer leaves:'),
    `    curl --cacert ${ca} -H "Authorization: Bearer ${tokenOf}" ${file.urls.gateway}/fhir/Patient/${patient}`,
    dim('  Who saw this patient, what happens now, is it all still as it was written:'),
    `    npx watchglass search --patient ${patient}${data}`,
    `    npx watchglass tail${data}`,
    `    npx watchglass verify ${shorter(io.cwd, facts.dataDir)}`,
    '',
    dim('Ctrl-C stops everything; the next start goes on with the same data.'),
  ].join('\n');
}

const clinicalRoles: ReadonlySet<string> = new Set(['physician', 'nurse', 'billing', 'registration', 'patient']);

function peopleTable(file: DemoFile, wanted: (role: string) => boolean): string[] {
  const seen = new Set<string>();
  const rows = file.people.flatMap(({ role, username, password }) => {
    if (!wanted(role) || seen.has(role)) return [];
    seen.add(role);
    return [[role, username, password]];
  });
  return formatTable([{ title: 'ROLE' }, { title: 'USERNAME' }, { title: 'PASSWORD' }], rows)
    .slice(1)
    .map((line) => `  ${line}`);
}

/** Relative to where the commands will be typed, where that is shorter. */
function shorter(cwd: string, path: string): string {
  const near = relative(cwd, path) || '.';
  return near.length < path.length ? near : path;
}
