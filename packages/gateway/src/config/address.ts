/** The addresses of `gateway.yaml`: what a URL and an origin have to look like, and what counts as this machine. */
import { z } from 'zod';

import { isSafeUrl } from '../identity/issuer-keys.ts';

export const url: z.ZodURL = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' });
export const safeUrl: z.ZodURL = url.refine(isSafeUrl, {
  error: 'expected an https URL; plain http only to this machine',
});

const isOrigin = (text: string): boolean => URL.parse(text)?.origin === text;
const likeThis = { error: 'expected an origin such as https://chart.clinic.example: no path, no slash at the end' };

export const origin: z.ZodURL = url.refine(isOrigin, likeThis);
export const safeOrigin: z.ZodURL = safeUrl.refine(isOrigin, likeThis);

/** Of a `host` to listen at. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
