/**
 * The agent that HAProxy's SPOE talks to: says hello, answers each NOTIFY with one ACK in whatever order the decisions come, refuses fragments, and hangs up on what
 * it can't read, having said why. A stream that is not answered stays without `allow`, and the ready configuration lets none of those through.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';

import type { Asked } from './asked.ts';
import type { Verdict } from './decision.ts';
import {
  type Frame,
  FrameReader,
  FrameWriter,
  frameBytesMax,
  frameBytesMin,
  frameTypes,
  parseFrame,
  parseMessages,
  parsePairs,
  SpopError,
  type SpopStatus,
  type SpopValue,
  spopStatus,
} from './spop-frames.ts';

export interface SpopJudge {
  decide(asked: Asked): Promise<Verdict>;
  refuseInput(asked: Asked, reason: string): Promise<Verdict>;
  /** Names of the fields that decide something. */
  fields(): readonly string[];
}

/** The name of the message in the ready configuration. */
const messageName = 'watchglass';
/** Questions that one connection may have open: HAProxy waits with more. */
const openMax = 1_024;
const helloWithinMs = 10_000;

export interface SpopAgent {
  /** Takes no more questions, and says goodbye once those under way are answered. */
  drain(): void;
}

/** Serves one connection of HAProxy until it ends. */
export function serveSpop(
  socket: Socket,
  parts: { readonly judge: SpopJudge; readonly onFault: (error: unknown) => void },
): SpopAgent {
  const agent = new SpopConnection(socket, parts);
  const hello = setTimeout(() => socket.destroy(), helloWithinMs);
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => {
    agent.take(chunk);
    if (agent.greeted) clearTimeout(hello);
  });
  socket.on('drain', () => {
    if (!agent.draining) socket.resume();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(hello));
  return agent;
}

class SpopConnection implements SpopAgent {
  readonly #socket: Socket;
  readonly #judge: SpopJudge;
  readonly #onFault: (error: unknown) => void;
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter();
  /** Names of the arguments, as they came last. */
  readonly #names: string[] = [];
  #leaving = false;
  greeted = false;
  draining = false;
  #ended = false;
  #open = 0;

  constructor(
    socket: Socket,
    { judge, onFault }: { readonly judge: SpopJudge; readonly onFault: (error: unknown) => void },
  ) {
    this.#socket = socket;
    this.#judge = judge;
    this.#onFault = onFault;
  }

  take(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      for (const bytes of this.#reader.take(chunk)) {
        this.#hear(parseFrame(bytes));
        if (this.#ended) return;
      }
    } catch (error) {
      if (!(error instanceof SpopError)) throw error;
      this.#disconnect(error.status);
    }
  }

  drain(): void {
    this.draining = true;
    this.#socket.pause();
    if (this.#open === 0) this.#disconnect('normal');
  }

  #hear(frame: Frame): void {
    // Not spoken here, and not announced: HAProxy has to send a question whole.
    if (frame.type === frameTypes.unset || !frame.final) throw new SpopError('fragmentation');
    if (frame.type === frameTypes.haproxyDisconnect) this.#disconnect('normal');
    else if (frame.type === frameTypes.haproxyHello && !this.greeted) this.#greet(frame);
    else if (frame.type === frameTypes.notify && this.greeted && !frame.aborted) this.#answer(frame);
    else throw new SpopError('frameInvalid');
  }

  #greet({ payload, streamId, frameId }: Frame): void {
    if (streamId !== 0 || frameId !== 0) throw new SpopError('frameInvalid');
    const said = parsePairs(payload);
    const versions = said.get('supported-versions');
    if (typeof versions !== 'string') throw new SpopError('versionMissing');
    if (!versions.split(',').some((version) => /^2\.\d+$/.test(version.trim())))
      throw new SpopError('versionUnsupported');
    const size = said.get('max-frame-size');
    if (typeof size !== 'number') throw new SpopError('frameSizeMissing');
    if (size < frameBytesMin) throw new SpopError('frameSizeOutOfRange');
    const capabilities = said.get('capabilities');
    if (typeof capabilities !== 'string') throw new SpopError('capabilitiesMissing');
    const pipelining = capabilities.split(',').some((name) => name.trim() === 'pipelining');
    this.#reader.bytesMax = Math.min(size, frameBytesMax);
    this.greeted = true;
    this.#writer
      .begin(frameTypes.agentHello, 0, 0)
      .pair('version', '2.0')
      .pair('max-frame-size', this.#reader.bytesMax)
      .pair('capabilities', pipelining ? 'pipelining' : '')
      .end();
    if (said.get('healthcheck') !== true) this.#leave();
    else {
      this.#ended = true;
      this.#socket.end(this.#writer.take());
    }
  }

  #answer({ payload, streamId, frameId }: Frame): void {
    const messages = parseMessages(payload, this.#names);
    if (this.#open >= openMax) throw new SpopError('resources');
    this.#open += 1;
    const [message] = messages;
    const asked = askedOf(message?.values ?? new Map(), this.#judge.fields());
    const sound =
      messages.length === 1 && message?.name === messageName && asked.method !== '' && asked.rawTarget !== '';
    const verdict = sound ? this.#judge.decide(asked) : this.#judge.refuseInput(asked, 'front-field-missing');
    verdict
      .then(
        (known) => {
          writeAck(known, this.#writer.begin(frameTypes.ack, streamId, frameId), this.#reader.bytesMax);
          this.#leave();
        },
        (error: unknown) => {
          this.#onFault(error);
          // Without `allow` it is refused.
          this.#writer.begin(frameTypes.ack, streamId, frameId).end();
          this.#leave();
        },
      )
      .finally(() => {
        this.#open -= 1;
        if (this.draining && this.#open === 0) this.#disconnect('normal');
      })
      .catch(this.#onFault);
  }

  /** Decisions that became durable together leave together. */
  #leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    setImmediate(() => {
      this.#leaving = false;
      if (this.#ended || !this.#socket.writable) return;
      // Who doesn't read the answers isn't asked for more questions.
      if (!this.#socket.write(this.#writer.take())) this.#socket.pause();
    });
  }

  #disconnect(status: SpopStatus): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#writer
      .begin(frameTypes.agentDisconnect, 0, 0)
      .pair('status-code', spopStatus[status])
      .pair('message', status)
      .end();
    if (!this.#socket.writable) return;
    this.#socket.end(this.#writer.take(), () => this.#socket.destroySoon());
  }
}

function askedOf(values: ReadonlyMap<string, SpopValue>, fields: readonly string[]): Asked {
  const text = (name: string): string | undefined => {
    const value = values.get(name);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const certificate = values.get('certificate');
  const said: Record<string, string> = {};
  for (const name of fields) {
    const value = text(name);
    if (value !== undefined) said[name] = value;
  }
  return {
    front: 'haproxy',
    method: text('method') ?? '',
    rawTarget: text('target') ?? '',
    host: text('host'),
    scheme: values.get('tls') === true ? 'https' : 'http',
    peerIp: text('peer'),
    authorization: text('authorization'),
    dpop: text('dpop'),
    clientCert:
      certificate instanceof Uint8Array && certificate.length > 0
        ? createHash('sha256').update(certificate).digest('base64url')
        : undefined,
    requestId: text('request-id'),
    fields: said,
  };
}

/** What the ready configuration reads: `allow`, and what to say where it is missing. */
function writeAck(verdict: Verdict, ack: FrameWriter, bytesMax: number): void {
  ack.setVariable('requestid', verdict.requestId);
  if (verdict.kind === 'yes') {
    ack
      .setVariable('allow', true)
      .setVariable('auditid', verdict.auditId)
      .setVariable('subject', verdict.subject)
      .setVariable('tenant', verdict.tenant)
      .end();
    return;
  }
  const { status, headers, body } = verdict;
  ack.setVariable('allow', false).setVariable('status', status);
  const challenge = headers['www-authenticate'];
  if (challenge !== undefined) ack.setVariable('challenge', challenge);
  const retry = headers['retry-after'];
  if (retry !== undefined) ack.setVariable('retry', retry);
  ack.setVariable('type', headers['content-type'] ?? 'application/problem+json');
  if (ack.length + body.length + 64 < bytesMax) ack.setVariable('body', body.toString('latin1'));
  ack.end();
}
