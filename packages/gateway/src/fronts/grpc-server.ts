/**
 * The door for Envoy: its questions by gRPC (`ext_authz`), and where outcomes are awaited, its access log by gRPC too. A message has a bound; a question that takes longer than its
 * deadline is given up by Envoy, which lets nothing through then; what goes wrong in here is said as an error, never as a yes.
 */
import type { Duplex } from 'node:stream';

import {
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import type { AuthzJudge } from './authz-server.ts';
import { type AccessLogMessage, outcomesOf } from './envoy-access-log.ts';
import { answerCheck, type CheckRequest, type CheckResponse, readCheck } from './envoy-check.ts';
import type { Outcome } from './outcome-lines.ts';

/** Envoy's own bound of a request's head is 60 KiB; a batch of its log is 16 KiB, unless it is told otherwise. */
const messageBytesMax = 128 * 1_024;
const streamsMax = 1_024;
const keepAliveMs = 60_000;

export interface GrpcDoor {
  /** Serves one connection of Envoy, which a server of ours has accepted. */
  serve(connection: Duplex): void;
  /** Takes no more questions, and lets those under way be answered within the time. */
  drain(graceMs: number): void;
}

export function createGrpcDoor(parts: {
  readonly judge: AuthzJudge;
  /** Fields that the API gets besides the usual ones, in lower case. */
  readonly forwardHeaders: readonly string[];
  readonly onFault: (error: unknown) => void;
  /** Undefined where nobody waits for any: then the access log is refused. */
  readonly onOutcome: ((outcome: Outcome) => void) | undefined;
}): GrpcDoor {
  const { judge, forwardHeaders, onFault, onOutcome } = parts;
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': streamsMax,
    'grpc.keepalive_time_ms': keepAliveMs,
  });
  const check = async (request: CheckRequest): Promise<CheckResponse> => {
    const question = readCheck(request, judge.fields());
    const { asked, fault } = question;
    const verdict = await (fault === undefined ? judge.decide(asked) : judge.refuseInput(asked, fault));
    return answerCheck(verdict, question, forwardHeaders);
  };
  server.addService(load('ext-authz.proto', 'envoy.service.auth.v3.Authorization'), {
    Check(call: ServerUnaryCall<CheckRequest, CheckResponse>, answer: sendUnaryData<CheckResponse>): void {
      check(call.request).then(
        (response) => answer(null, response),
        (error: unknown) => {
          onFault(error);
          answer({ code: status.INTERNAL, details: 'the decision failed' });
        },
      );
    },
  });
  if (onOutcome !== undefined)
    server.addService(load('access-log.proto', 'envoy.service.accesslog.v3.AccessLogService'), {
      StreamAccessLogs(call: ServerReadableStream<AccessLogMessage, object>, answer: sendUnaryData<object>): void {
        call.on('data', (message: AccessLogMessage) => {
          for (const outcome of outcomesOf(message)) onOutcome(outcome);
        });
        call.on('error', () => undefined);
        call.on('end', () => answer(null, {}));
      },
    });
  // Whoever gets here has come through a door of ours, which has checked what there is to check.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    serve: (connection) => injector.injectConnection(connection),
    drain: (graceMs) => injector.drain(graceMs),
  };
}

/** The service of that name, from the file beside this one. */
function load(file: string, name: string): ServiceDefinition {
  const definitions = loadSync(`${import.meta.dirname}/${file}`, { keepCase: true, longs: Number, enums: String });
  const found = definitions[name];
  if (found === undefined || 'format' in found) throw new Error(`expected the service ${name} in ${file}`);
  return found as ServiceDefinition;
}
