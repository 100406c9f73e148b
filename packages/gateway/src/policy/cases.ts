/**
 * Cases of a policy, in a file beside it: who asks for what, and what has to come of it. Held against the policy before it goes anywhere near a gateway.
 *
 *     cases:
 *       - name: a nurse reads an observation
 *         roles: [nurse]
 *         method: GET
 *         path: /fhir/Observation/o-1
 *         expect: allow
 */
import { resolve } from 'node:path';
import { z } from 'zod';

import { type Explanation, explain, type Supposed } from './explain.ts';
import { readJsonMap } from './read-json-map.ts';
import { parseStrictYaml } from './strict-yaml.ts';
import type { Policy } from './tables.ts';

export type Expected = 'allow' | 'deny' | 'step-up' | 'break-glass';

interface CaseDocument {
  readonly name: string;
  readonly roles: readonly string[];
  readonly method: string;
  readonly path: string;
  readonly scopes: string;
  readonly patient?: string | undefined;
  readonly purpose?: string | undefined;
  readonly at?: string | undefined;
  readonly from?: string | undefined;
  readonly acr?: string | undefined;
  readonly amr: readonly string[];
  readonly mfa: boolean;
  readonly signedInSecondsAgo?: number | undefined;
  readonly glassPatient?: string | undefined;
  readonly expect: Expected;
  readonly because?: string | undefined;
}

const text = z.string().min(1).max(512);
const casesSchema: z.ZodType<{
  readonly prefix: string;
  readonly map?: string | undefined;
  readonly cases: readonly CaseDocument[];
}> = z.strictObject({
  prefix: z.string().default('/fhir'),
  map: text.optional(),
  cases: z
    .array(
      z.strictObject({
        name: text,
        roles: z.array(text).default([]),
        method: z
          .enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'], { error: 'expected a method, such as GET' })
          .default('GET'),
        path: text,
        scopes: z.string().max(8_192).default('user/*.cruds'),
        patient: text.optional(),
        purpose: text.optional(),
        at: z.iso.datetime({ offset: true, error: 'expected a time such as 2026-11-24T18:30:00Z' }).optional(),
        from: text.optional(),
        acr: text.optional(),
        amr: z.array(text).default([]),
        mfa: z.boolean().default(false),
        signedInSecondsAgo: z.number().min(0).optional(),
        glassPatient: text.optional(),
        expect: z.enum(['allow', 'deny', 'step-up', 'break-glass'], {
          error: 'expected allow, deny, step-up or break-glass',
        }),
        because: text.optional(),
      }),
    )
    .min(1, { error: 'expected at least one case' }),
});

export interface CaseResult {
  readonly name: string;
  readonly passed: boolean;
  readonly expected: string;
  readonly got: string;
  readonly explanation: Explanation;
}

/** Throws `policy-invalid` where the file of the cases, or the map that it names, is wrong. `nowMs` is the time of cases that name none. */
export function runCases(
  policy: Policy,
  yaml: string,
  options: {
    /** As it is called in what is said about it. */
    readonly file: string;
    /** From where the map that it names counts; here unless given. */
    readonly folder?: string;
    readonly nowMs: number;
  },
): CaseResult[] {
  const { file, folder = '.' } = options;
  const document = parseStrictYaml(yaml, { schema: casesSchema, file, code: 'policy-invalid' });
  const { prefix, cases } = document;
  const map = document.map === undefined ? undefined : readJsonMap(resolve(folder, document.map));
  return cases.map((one) => {
    const supposed: Supposed = { ...one, prefix, map, atMs: one.at === undefined ? options.nowMs : Date.parse(one.at) };
    const explanation = explain(policy, supposed);
    const { outcome, reason, rule } = summary(explanation);
    const because = one.because === undefined || one.because === reason || one.because === rule;
    const say = (what: string, why: string | undefined): string => (why === undefined ? what : `${what} (${why})`);
    return {
      name: one.name,
      passed: outcome === one.expect && because,
      expected: say(one.expect, one.because),
      got: say(outcome, reason ?? rule),
      explanation,
    };
  });
}

/** In one word, with the code of the reason and the rule that decided. */
export function summary(explanation: Explanation): {
  readonly outcome: Expected;
  readonly reason: string | undefined;
  readonly rule: string | undefined;
} {
  if (explanation.kind === 'no-request') return { outcome: 'deny', reason: explanation.reason, rule: undefined };
  const { decision } = explanation;
  if (decision.kind === 'allowed')
    return { outcome: decision.glass ? 'break-glass' : 'allow', reason: undefined, rule: decision.rule?.label };
  const outcome = decision.code === 'step-up-required' ? 'step-up' : 'deny';
  return { outcome, reason: decision.reason, rule: decision.rule };
}
