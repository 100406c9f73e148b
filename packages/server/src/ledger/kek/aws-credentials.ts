/**
 * Who we are at AWS: a key pair from a file or a variable, or the role of the machine (instance metadata, version 2 only). What the machine lends
 * is kept until five minutes before it ends.
 */
import { RecordError } from '@watchglass/record';
import type { HttpRequest } from '../../world/http-call.ts';
import { callKeeper, memberOf, problemOfStatus } from './keeper-call.ts';
import { type ProviderDeps, parseSecret, readSecret } from './provider.ts';
import type { CloudCredentials } from './settings.ts';
import type { AwsCredentials } from './sigv4.ts';

const metadataOrigin = 'http://169.254.169.254';
const renewBeforeMs = 5 * 60_000;
const who = 'the metadata service of this machine';

/** @param origin of the metadata service */
export function awsCredentials(
  deps: ProviderDeps,
  source: CloudCredentials,
  origin: string = metadataOrigin,
): () => Promise<AwsCredentials> {
  let lent: { readonly credentials: AwsCredentials; readonly untilMs: number } | undefined;
  return async () => {
    if (source.kind !== 'instance') {
      const what = 'the credentials for AWS';
      const { accessKeyId, secretAccessKey, sessionToken } = parseSecret(await readSecret(deps, source, what), what, [
        'accessKeyId',
        'secretAccessKey',
      ]);
      return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
    }
    if (lent === undefined || lent.untilMs - renewBeforeMs <= deps.world.clock.now()) lent = await borrow(deps, origin);
    return lent.credentials;
  };
}

async function borrow(
  { world }: ProviderDeps,
  origin: string,
): Promise<{ readonly credentials: AwsCredentials; readonly untilMs: number }> {
  let text = '';
  const ask = (method: HttpRequest['method'], path: string, headers: Record<string, string>): Promise<unknown> =>
    callKeeper(world, {
      who,
      request: () => ({ method, url: new URL(path, origin), headers }),
      problemOf: (answer) => {
        text = answer.text.trim();
        return problemOfStatus(answer.status, 'metadata');
      },
    });
  await ask('PUT', '/latest/api/token', { 'x-aws-ec2-metadata-token-ttl-seconds': '300' });
  const token = { 'x-aws-ec2-metadata-token': text };
  const folder = '/latest/meta-data/iam/security-credentials/';
  await ask('GET', folder, token);
  const role = text.split('\n')[0] ?? '';
  if (!/^[\w+=,.@-]{1,64}$/.test(role))
    throw new RecordError('kek-refused', 'this machine has no role at AWS; give it one, or give credentials in a file');
  const body = await ask('GET', `${folder}${role}`, token);
  return {
    credentials: {
      accessKeyId: memberOf(body, 'AccessKeyId', who),
      secretAccessKey: memberOf(body, 'SecretAccessKey', who),
      sessionToken: memberOf(body, 'Token', who),
    },
    untilMs: Date.parse(memberOf(body, 'Expiration', who)),
  };
}
