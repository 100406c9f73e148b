/**
 * Where everything of a demo lies, and the configuration its children get. Written anew at each start, except the policy, which is
 * there to be played with.
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { CliError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import type { CertificateFiles } from '../tls/local-certificates.ts';
import type { ChildPlan } from './child.ts';
import { writePrivateFile } from './demo-file.ts';

export const demoTenant = 'clinic';
/** The demo's hospital is the same at every start. */
export const demoSeed = 'larkhaven';
const trafficPerSecond = 4;

export interface DemoPaths {
  readonly data: string;
  /** `DATA/demo`. */
  readonly dir: string;
  readonly tls: string;
  readonly lock: string;
  /** Pids of the children, there only while a demo runs. */
  readonly pids: string;
  readonly serverConfig: string;
  readonly gatewayConfig: string;
  readonly policy: string;
  readonly gatewayKey: string;
  readonly roster: string;
  readonly tokens: string;
  readonly labels: string;
}

export function demoPaths(data: string): DemoPaths {
  const dir = join(data, 'demo');
  return {
    data,
    dir,
    tls: join(dir, 'tls'),
    lock: join(dir, 'lock'),
    pids: join(dir, 'pids.json'),
    serverConfig: join(dir, 'watchglass.yaml'),
    gatewayConfig: join(dir, 'gateway.yaml'),
    policy: join(dir, 'policy.yaml'),
    gatewayKey: join(dir, 'gateway.key'),
    roster: join(dir, 'roster.json'),
    tokens: join(dir, 'tokens.json'),
    labels: join(dir, 'labels.ndjson'),
  };
}

export interface DemoUrls {
  readonly console: string;
  readonly server: string;
  readonly gateway: string;
  readonly issuer: string;
  readonly upstream: string;
}

export function demoUrls(ports: Ports): DemoUrls {
  const server = `http://localhost:${ports.server}`;
  return {
    console: server,
    server,
    gateway: `https://localhost:${ports.gateway}`,
    issuer: `http://localhost:${ports.issuer}`,
    upstream: `http://127.0.0.1:${ports.upstream}`,
  };
}

const host = '127.0.0.1';
/** As what the gateway hears of the end of sessions, and where. */
const gatewayClientId = 'gateway';
const logoutPath = '/backchannel-logout';
const audience = 'urn:watchglass:api';
const spoolBytesMax = 256 * 1024 * 1024;

export async function writeServerConfig(paths: DemoPaths, ports: Ports, certificates: CertificateFiles): Promise<void> {
  const urls = demoUrls(ports);
  const config = {
    data: paths.data,
    listen: { host, port: ports.server },
    url: urls.server,
    tenants: [demoTenant],
    origin: 'demo.watchglass.example',
    issuer: {
      embedded: true,
      url: urls.issuer,
      listen: { host, port: ports.issuer },
      fhirUrl: `${urls.gateway}/fhir`,
      ca: certificates.ca,
      clients: [
        { id: gatewayClientId, name: 'the gateway', logoutUri: `${urls.gateway}${logoutPath}`, logoutOfAll: true },
        // For whoever tries a SMART application of their own on this machine, at any port.
        { id: 'smart-app', name: 'a SMART application', redirectUris: ['http://127.0.0.1/callback'], refresh: true },
      ],
    },
    demo: { people: paths.roster },
  };
  await writePrivateFile(paths.serverConfig, generated(config));
}

export async function writeGatewayConfig(
  paths: DemoPaths,
  ports: Ports,
  certificates: CertificateFiles,
  writeKey: string,
): Promise<void> {
  const urls = demoUrls(ports);
  if (!existsSync(paths.policy)) {
    const { samplePolicyPath } = await import('@watchglass/gateway');
    await copyFile(samplePolicyPath(), paths.policy);
  }
  await writePrivateFile(paths.gatewayKey, `${writeKey}\n`);
  const config = {
    listen: { host, port: ports.gateway },
    tls: { cert: certificates.cert, key: certificates.key },
    url: urls.gateway,
    upstream: { url: urls.upstream },
    issuers: [{ issuer: urls.issuer, audience, algorithms: ['RS256'], logoutClientId: gatewayClientId }],
    identity: { logoutPath },
    policy: paths.policy,
    routes: [{ prefix: '/fhir', kind: 'fhir' }],
    server: { url: urls.server, writeKeyFile: paths.gatewayKey },
    spool: { dir: join(paths.data, 'spool'), maxBytes: spoolBytesMax },
    audit: { mode: 'strict' },
    site: 'demo-hospital',
    emitter: 'demo-gateway',
  };
  await writePrivateFile(paths.gatewayConfig, generated(config));
}

/** How each child is started. `records`: a folder of bulk FHIR NDJSON to serve instead of the synthetic patients. */
export function childPlans(
  paths: DemoPaths,
  ports: Ports,
  options: { readonly ca: string; readonly records: string | undefined; readonly env: ChildPlan['env'] },
): Record<'hospital' | 'server' | 'gateway' | 'traffic', ChildPlan> {
  const watchglass = fileURLToPath(new URL('../../bin/watchglass.mjs', import.meta.url));
  const hospital = hospitalBin();
  const seed = ['--seed', demoSeed];
  const plan = (name: string, args: readonly string[]): ChildPlan => ({
    name,
    args,
    logPath: join(paths.dir, `${name}.log`),
    cwd: paths.data,
    env: options.env,
  });
  const records = options.records === undefined ? [] : ['--data', options.records];
  return {
    hospital: plan('hospital', [
      hospital,
      'serve',
      '--port',
      String(ports.upstream),
      ...seed,
      '--roster-out',
      paths.roster,
      '--public-url',
      demoUrls(ports).gateway,
      ...records,
    ]),
    server: plan('server', [watchglass, 'serve', '--config', paths.serverConfig]),
    gateway: plan('gateway', [watchglass, 'gateway', '--config', paths.gatewayConfig]),
    traffic: plan('traffic', [
      hospital,
      'traffic',
      '--gateway',
      demoUrls(ports).gateway,
      '--ca',
      options.ca,
      '--tokens',
      paths.tokens,
      '--roster',
      paths.roster,
      ...seed,
      '--rate',
      String(trafficPerSecond),
      '--misuse',
      'bulk-read,sequential-ids',
      '--labels',
      paths.labels,
    ]),
  };
}

/** The hospital is an example of the workspace, started by name; the published command comes without it. */
function hospitalBin(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve('@watchglass-example/hospital/package.json');
    return join(dirname(manifest), 'bin', 'hospital.mjs');
  } catch (error) {
    throw new CliError('hospital-missing', 'the synthetic hospital is not installed here', {
      cause: error,
      remedy: 'The demo runs from a clone of the repository: `npm start` there.',
    });
  }
}

export async function makeDemoFolder(paths: DemoPaths): Promise<void> {
  await mkdir(paths.dir, { recursive: true, mode: 0o700 });
}

function generated(config: object): string {
  return `# Written by \`watchglass demo\` at each start.\n${stringify(config)}`;
}
