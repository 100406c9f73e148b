/** `watchglass serve`: the server of one configuration, until Ctrl-C, SIGTERM or its supervisor ends it. */
import { resolve } from 'node:path';
import { type Io, note, printJson } from '../io.ts';
import { reportReady, untilStopped } from '../supervised.ts';

export interface ServeOptions {
  readonly config: string;
  readonly json?: boolean;
}

export async function serve(options: ServeOptions, io: Io): Promise<void> {
  const { readConfig, startServer } = await import('@watchglass/server');
  const config = await readConfig(resolve(io.cwd, options.config));
  await using server = await startServer(config, { signal: io.signal });
  reportReady(io, server.url);
  if (options.json === true) printJson(io, { ready: true, url: server.url });
  else note(io, `Watchglass server: ${server.url}`);
  await untilStopped(io.signal);
}
