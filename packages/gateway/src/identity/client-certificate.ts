/**
 * The certificate a client showed when it connected, where one was asked for and it leads to an authority of ours; anything else is no certificate. Known by
 * its thumbprint only (RFC 8705 §3.1), since a subject may be a person's name.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Read once for each connection: it can't change on one, since renegotiation is not spoken. */
const known = new WeakMap<TLSSocket, string | null>();

/** SHA-256 of the certificate in base64url, as `x5t#S256` has it; undefined where there is none. */
export function certificateThumbprint(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const remembered = known.get(socket);
  if (remembered !== undefined) return remembered ?? undefined;
  // `authorized` is about the client's certificate: on a server that asked for none it is false.
  const raw = socket.authorized ? (socket.getPeerCertificate().raw as Buffer | undefined) : undefined;
  const thumbprint = raw === undefined ? null : createHash('sha256').update(raw).digest('base64url');
  known.set(socket, thumbprint);
  return thumbprint ?? undefined;
}
