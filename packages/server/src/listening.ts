/** Opens a door of the server where the configuration says, or says which key names a place that can't be had. */
import { ServerError } from './errors.ts';

interface Place {
  readonly host: string;
  readonly port: number;
}

/** @throws ServerError `config-invalid` */
export async function listenAt(key: string, at: Place, listen: (at: Place) => Promise<string>): Promise<string> {
  try {
    return await listen(at);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an error';
    throw new ServerError(
      'config-invalid',
      `${key}: expected to listen at ${at.host}:${at.port}, got ${code}; ${adviceOn(code)}`,
      {
        cause,
      },
    );
  }
}

function adviceOn(code: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'end what listens there, or choose another port';
    case 'EACCES':
      return 'choose a port from 1024 on, or let this user have it';
    default:
      return 'choose an address that this machine has';
  }
}
