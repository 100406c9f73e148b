/** The events of an exchange with the upstream: the intent before it, the outcome after it, the end of a stream. */
import type { Exposure, Target } from '@watchglass/record';
import { elapsedMs, interactionEvent, namedTargets, outcomeOfStatus } from '../capture/capture.ts';
import type { EventDraftFacts } from '../capture/recorder.ts';
import type { Learned } from '../exposure/exposure.ts';
import { pagesOf } from '../exposure/exposure-pages.ts';
import { batchStatuses } from '../fhir/batch.ts';
import type { Interaction } from '../fhir/fhir-interaction.ts';
import type { Admitted, Carried } from './admission.ts';
import type { HeldBeginning, HeldWhole, UpstreamFault } from './forward.ts';

export type Intent = EventDraftFacts & { readonly id: string };

/** One for the request, and one for each entry of a batch, in that order. */
export function intentEvents(admitted: Admitted, carried: Carried, newId: () => string): readonly Intent[] {
  const { captured, actor, purpose } = admitted;
  const intent = (interaction: Interaction, parameters: Carried['parameters'], targets: readonly Target[]): Intent => ({
    ...interactionEvent({
      captured,
      interaction,
      actor,
      parameterNames: parameters.map(({ name }) => name),
      outcome: { status: 'success', reason: 'intent' },
      facts: {},
      rest: { targets, ...(purpose === undefined ? {} : { purpose }) },
    }),
    id: newId(),
  });
  return [
    intent(admitted.interaction, carried.parameters, changedTargets(admitted.interaction, carried.learned)),
    ...carried.entries.map((entry) => intent(entry.interaction, entry.parameters, namedTargets(entry.interaction))),
  ];
}

/** What came of it, in the order of the intents. */
export function outcomeEvents(
  admitted: Admitted,
  carried: Carried,
  parts: { readonly held: HeldWhole | HeldBeginning; readonly learned: Learned; readonly intents: readonly Intent[] },
): readonly EventDraftFacts[] {
  const { captured, actor, interaction, purpose } = admitted;
  const { held, learned, intents } = parts;
  const { patients = [], ...rest } = learned.exposure;
  const [page = [], ...morePages] = pagesOf(patients);
  const exposure: Exposure = { ...(page.length === 0 ? {} : { patients: page }), ...rest };
  const event = interactionEvent({
    captured,
    interaction,
    actor,
    parameterNames: carried.parameters.map(({ name }) => name),
    outcome: { status: outcomeOfStatus(held.status), code: held.status },
    facts: {
      status: held.status,
      requestBytes: requestBytes(carried),
      responseBytes: exposure.bytes ?? 0,
      durationMs: elapsedMs(captured),
    },
    rest: {
      id: captured.auditId,
      targets: [
        ...(interaction.safe
          ? readTargets(interaction, learned)
          : changedTargets(interaction, carried.learned, learned)),
        ...(admitted.flags ?? []),
      ],
      ...(isWorthSaying(interaction, exposure) ? { exposure } : {}),
      ...(purpose === undefined ? {} : { purpose }),
      ...completes(intents[0]),
    },
  });
  const more = continued(admitted, held.status, morePages);
  if (carried.entries.length === 0) return [event, ...more];
  const statuses = held.kind === 'whole' ? batchStatuses(held.body, carried.entries.length) : [];
  const entries = carried.entries.map((entry, position) => {
    const status = statuses[position] ?? held.status;
    return interactionEvent({
      captured,
      interaction: entry.interaction,
      actor,
      parameterNames: entry.parameters.map(({ name }) => name),
      outcome: { status: outcomeOfStatus(status), code: status },
      facts: { status },
      rest: completes(intents[position + 1]),
    });
  });
  return [event, ...entries, ...more];
}

/** The patients that don't fit into the event they belong to. */
function continued(
  { captured, interaction, actor }: Admitted,
  status: number,
  pages: ReturnType<typeof pagesOf>,
): readonly EventDraftFacts[] {
  return pages.map((patients) =>
    interactionEvent({
      captured,
      interaction,
      actor,
      parameterNames: [],
      outcome: { status: outcomeOfStatus(status), code: status, reason: 'exposure-continued' },
      facts: { status },
      rest: { exposure: { patients }, completes: captured.auditId },
    }),
  );
}

/** What a server says about itself is about nobody, in whatever form it says it. */
function isWorthSaying({ name }: Interaction, { bytes = 0, patients, truncated }: Exposure): boolean {
  return (bytes > 0 || truncated === true) && (name !== 'capabilities' || patients !== undefined);
}

/** The upstream didn't answer, or the client didn't wait. */
export function faultEvents(
  admitted: Admitted,
  carried: Carried,
  parts: { readonly fault: UpstreamFault; readonly status: number; readonly intents: readonly Intent[] },
): readonly EventDraftFacts[] {
  const { captured, actor } = admitted;
  const { fault, status, intents } = parts;
  const interactions = [admitted.interaction, ...carried.entries.map((entry) => entry.interaction)];
  return interactions.map((interaction, position) =>
    interactionEvent({
      captured,
      interaction,
      actor,
      parameterNames: position === 0 ? carried.parameters.map(({ name }) => name) : [],
      outcome: { status: status >= 500 ? 'error' : 'failed', code: status, reason: fault },
      facts: { status, durationMs: elapsedMs(captured) },
      rest: { ...(position === 0 ? { id: captured.auditId } : {}), ...completes(intents[position]) },
    }),
  );
}

/** How much left in the end, once what could not be held was streamed. */
export function streamEndEvent(
  admitted: Admitted,
  end: {
    readonly status: number;
    readonly bytes: number;
    readonly complete: boolean;
    readonly rest: Learned | undefined;
    /** Why it was ended here. */
    readonly reason?: string | undefined;
  },
): readonly EventDraftFacts[] {
  const { captured, interaction, actor } = admitted;
  const { status, bytes, complete, rest } = end;
  const truncated = rest === undefined || rest.exposure.truncated === true;
  const [page = [], ...morePages] = pagesOf(rest?.exposure.patients ?? []);
  const exposure: Exposure = {
    ...(page.length === 0 ? {} : { patients: page }),
    ...(rest?.exposure.count === undefined ? {} : { count: rest.exposure.count }),
    bytes,
    ...(truncated ? { truncated } : {}),
  };
  const event = interactionEvent({
    captured,
    interaction,
    actor,
    parameterNames: [],
    outcome: {
      status: complete ? 'success' : 'failed',
      code: status,
      reason: end.reason ?? (complete ? 'streamed' : 'stream-cut-off'),
    },
    facts: { status, responseBytes: bytes, durationMs: elapsedMs(captured) },
    rest: { exposure, completes: captured.auditId },
  });
  return [event, ...continued(admitted, status, morePages)];
}

function requestBytes({ body }: Carried): number {
  if (body === null) return 0;
  return Buffer.isBuffer(body) ? body.length : body.bytes;
}

/** What the path names first, then what else left. */
function readTargets(interaction: Interaction, learned: Learned): readonly Target[] {
  const named = namedTargets(interaction);
  const isNamed = (left: Target): boolean => named.some(({ type, id }) => type === left.type && id === left.id);
  return [
    ...named.map(
      (target) => learned.targets.find(({ type, id }) => type === target.type && id === target.id) ?? target,
    ),
    ...learned.targets.filter((target) => !isNamed(target)),
  ];
}

/** What the path names, with what the sent body and the answer say about it; a created resource gets its id from the answer. */
function changedTargets(interaction: Interaction, sent: Learned | undefined, received?: Learned): readonly Target[] {
  const [named, ...others] = namedTargets(interaction);
  if (named === undefined) return received?.targets ?? [];
  const returned = received?.targets.find(
    ({ type, id }) => type === named.type && (named.id === undefined || id === named.id),
  );
  const whole = { ...returned, ...named };
  const patient = whole.patient ?? sent?.exposure.patients?.[0]?.id;
  const classes = whole.classes ?? sent?.exposure.patients?.[0]?.classes;
  const { type, id, version, role } = whole;
  const changed: Target = {
    type,
    ...(id === undefined ? {} : { id }),
    ...(version === undefined ? {} : { version }),
    ...(patient === undefined ? {} : { patient }),
    ...(classes === undefined ? {} : { classes }),
    ...(role === undefined ? {} : { role }),
  };
  return [changed, ...others, ...(received?.targets.filter((target) => target !== returned) ?? [])];
}

function completes(intent: Intent | undefined): { readonly completes?: string } {
  return intent === undefined ? {} : { completes: intent.id };
}

/** A batch that only reads needs no intent. */
export function isChange({ interaction }: Admitted, { entries }: Carried): boolean {
  if (interaction.name === 'batch') return !entries.every((entry) => entry.interaction.safe);
  return !interaction.safe;
}
