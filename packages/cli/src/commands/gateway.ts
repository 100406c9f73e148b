/** `watchglass gateway`: the guard in front of one API, until Ctrl-C, SIGTERM or its supervisor ends it. SIGHUP has the policy read again. */
import { resolve } from 'node:path';
import { type Io, note, printJson } from '../io.ts';
import { reportReady, untilStopped } from '../supervised.ts';

export interface GatewayOptions {
  readonly config: string;
  readonly json?: boolean;
}

export async function gateway(options: GatewayOptions, io: Io): Promise<void> {
  const { readGatewayConfig, startGateway } = await import('@watchglass/gateway');
  const config = await readGatewayConfig(resolve(io.cwd, options.config));
  await using running = await startGateway(config, { signal: io.signal });
  reportReady(io, running.url);
  if (options.json === true) printJson(io, { ready: true, url: running.url });
  else note(io, `Watchglass gateway: ${running.url}`);
  io.onHangUp?.(() => void running.reloadPolicy());
  const failed = await Promise.race([running.failed, untilStopped(io.signal)]);
  if (failed !== undefined) throw failed;
}
