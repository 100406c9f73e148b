/**
 * The transcript of a real witness, replayed against ours over HTTP. Where the two other implementations in it disagree with each other, the
 * specification decides (c2sp.org/tlog-witness): an unknown log is a 404, a missing proof a 422.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeBase64, formatSignerKey, openCosignatures, openNote, tryDecodeHex } from '@watchglass/record';
import { makeWitnessKey, parseWitnessConfig, startWitness } from '@watchglass/server';

interface Step {
  readonly request: string;
  readonly status: number;
  readonly torchwoodExpected: number;
  readonly contentType: string;
  readonly response: string;
}

const file = new URL('../../../shared/reference/tlog/sigsum-witness-0.14.1-transcript.json', import.meta.url);
const skip = existsSync(file) ? false : 'needs ../shared/reference/tlog';

/** The public key of the log in the transcript: its origin is the key's SHA-256. */
const logKey = 'ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f';
const origin = 'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562';
/** Of the steps whose two expectations differ, by what is asked. */
const specified: Readonly<Record<string, number>> = { '404/403': 404, '400/422': 422 };

test('our witness answers the requests of a real witness’s transcript as specified', { skip }, async () => {
  const { transcript } = JSON.parse(readFileSync(file, 'utf8')) as { readonly transcript: readonly Step[] };
  const dir = await mkdtemp(join(tmpdir(), 'watchglass-witness-'));
  try {
    const signer = makeWitnessKey('witness.example/w1');
    const id = decodeBase64((transcript[0]?.request ?? '').trimEnd().split(' ').at(-1) ?? '').subarray(0, 4);
    const vkey = `${origin}+${Buffer.from(id).toString('hex')}+${Buffer.from([1, ...(tryDecodeHex(logKey) ?? [])]).toString('base64')}`;
    await mkdir(join(dir, 'data'));
    await writeFile(join(dir, 'logs.txt'), `${vkey}\n`);
    await writeFile(join(dir, 'key'), formatSignerKey(signer), { mode: 0o600 });
    const config = 'data: data\nkey: key\nlogs: logs.txt\nlisten: { port: 0 }\nlog: { level: silent }\n';
    await using witness = await startWitness(parseWitnessConfig(config, join(dir, 'witness.yaml')));
    let cosigned = 0;
    for (const [at, step] of transcript.entries()) {
      const answer = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body: step.request });
      const body = await answer.text();
      const expected = specified[`${step.status}/${step.torchwoodExpected}`] ?? step.status;
      assert.equal(answer.status, expected, `step ${at}: ${body}`);
      const note = step.request.slice(step.request.indexOf('\n\n') + 2);
      if (answer.status === 409) {
        assert.equal(answer.headers.get('content-type'), step.contentType);
        assert.equal(body, step.response);
      }
      if (answer.status !== 200) continue;
      cosigned++;
      assert.equal(openCosignatures(body, note, witness.vkeys).signatures.length, 1);
      const hash = createHash('sha256').update(origin).digest('hex');
      const latest = await (await fetch(`${witness.url}/${hash}/checkpoint`)).text();
      assert.equal(openNote(latest, [vkey, ...witness.vkeys]).signatures.length, 2);
      assert.ok(latest.startsWith(note));
    }
    assert.equal(cosigned, transcript.filter(({ status }) => status === 200).length);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
