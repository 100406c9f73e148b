/** The commands about a policy of the gateway: what it says to requests that nobody makes. */
import type { Command } from 'commander';
import type { Io } from '../io.ts';
import { toList } from './arguments.ts';
import { command } from './command.ts';

export function addPolicy(program: Command, io: Io): void {
  const commands = () => import('../commands/policy.ts');
  const policy = program
    .command('policy')
    .description('What a policy of the gateway says to requests that nobody makes, and why.')
    .addHelpText('after', '\nExample:\n  watchglass policy test --policy hospital.yaml --case cases.yaml');
  command(policy, 'test', 'Hold a policy against cases: who asks for what, and what has to come of it.', [
    'watchglass policy test --policy hospital.yaml --case cases.yaml',
  ])
    .requiredOption('--policy <file>', 'the policy')
    .requiredOption('--case <file>', 'the cases; docs/policy.md says how they are written')
    .action(async (options) => (await commands()).testPolicy(options, io));
  command(policy, 'explain', 'Say what a policy answers to one request, and which rules speak of it.', [
    'watchglass policy explain --policy hospital.yaml --role nurse --method GET --path /fhir/Patient/wg-pt-000417',
    'watchglass policy explain --policy hospital.yaml --role billing --path /fhir/Claim --from 10.1.2.3 --at 2026-11-24T22:00:00Z',
    'watchglass policy explain --policy policy.yaml --role nurse --prefix /api --map api.yaml --path /api/visits',
  ])
    .requiredOption('--policy <file>', 'the policy')
    .option('--role <name>', 'a role of who asks; again for more', toList, [])
    .option('--method <method>', 'HTTP method', 'GET')
    .requiredOption('--path <path>', 'path and query, such as /fhir/Observation?patient=wg-pt-000417')
    .option('--prefix <path>', 'base path of the API', '/fhir')
    .option('--map <file>', 'the map of its routes, where it is no FHIR (docs/json-apis.md)')
    .option('--scope <scopes>', 'SMART scopes of the token', 'user/*.cruds')
    .option('--patient <id>', 'launch context of patient/ scopes')
    .option('--purpose <code>', 'HL7 v3 PurposeOfUse')
    .option('--at <moment>', 'RFC 3339; now unless given')
    .option('--from <address>', 'address of the client')
    .option('--acr <value>', 'authentication context class of the token')
    .option('--amr <method>', 'an authentication method of the token; again for more', toList, [])
    .option('--mfa', 'signed in with more than one factor')
    .option('--signed-in <seconds>', 'how long ago they signed in')
    .option('--glass-patient <id>', 'whom the glass is to be broken for')
    .action(async (options) => (await commands()).explainPolicy(options, io));
}
