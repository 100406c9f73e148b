/** Every field of an event, in groups a person would ask for; empty groups are left out. */
import { ListFilter } from 'lucide-react';
import type { ReactElement } from 'react';
import type { ListedEvent } from '../api/client.ts';
import type { Verdict } from '../proof/check-proof.ts';
import type { StateChange } from '../state/use-explorer-state.ts';
import { plainWords } from '../text/labels.ts';
import { formatBytes, plural } from '../text/number.ts';
import type { People } from '../text/people.ts';
import type { Zone } from '../time/range.ts';
import { CopyButton } from '../ui/copy-button.tsx';
import { type Field, recordFields, requestFields, whatFields, whereFields, whoFields } from './field-list.ts';

export interface EventFieldsProps {
  readonly event: ListedEvent;
  readonly people: People;
  readonly zone: Zone;
  /** Carries the opened record, where it was opened. */
  readonly verdict: Verdict | undefined;
  readonly onFilter: (change: StateChange) => void;
}

export function EventFields({ event, people, zone, verdict, onFilter }: EventFieldsProps): ReactElement {
  const { exposure, targets, changes } = event;
  const opened = verdict?.kind === 'sealed' && verdict.opening.kind === 'equal' ? verdict.opening.record : undefined;
  return (
    <div className="flex flex-col gap-6 px-6 pt-6">
      <Group title="What" fields={whatFields(event)} onFilter={onFilter} />
      <Group title="Who" fields={whoFields(event, people, zone)} onFilter={onFilter} />
      <Group title="From where" fields={whereFields(event)} onFilter={onFilter} />
      {exposure && <ExposureGroup exposure={exposure} onFilter={onFilter} />}
      {targets && targets.length > 0 && <TargetsGroup targets={targets} onFilter={onFilter} />}
      <Group title="Request" fields={requestFields(event)} onFilter={onFilter} />
      {changes && changes.length > 0 && <ChangesGroup changes={changes} />}
      <Group title="Record" fields={recordFields(event, zone, opened)} onFilter={onFilter} />
      <details className="group">
        <summary className="flex h-8 items-center rounded text-ink-2 hover:text-ink">As JSON</summary>
        <div className="relative">
          <pre className="mono overflow-x-auto rounded-md bg-sunken p-3 text-ink-2 text-xs">
            {JSON.stringify(event, null, 2)}
          </pre>
          <CopyButton text={JSON.stringify(event, null, 2)} what="event as JSON" className="absolute top-2 right-2" />
        </div>
      </details>
    </div>
  );
}

type OnFilter = EventFieldsProps['onFilter'];

interface GroupProps {
  readonly title: string;
  readonly fields: readonly Field[];
  readonly onFilter: OnFilter;
}

function Group({ title, fields, onFilter }: GroupProps): ReactElement | null {
  if (fields.length === 0) return null;
  return (
    <section aria-label={title}>
      <h3 className="mb-1 font-semibold text-sm">{title}</h3>
      <dl>
        {fields.map((field) => (
          <div
            key={field.name}
            className="group/field -mx-2 flex min-h-7 items-start gap-4 rounded px-2 py-1 hover:bg-hover"
          >
            <dt className="w-28 shrink-0 text-ink-3">{field.name}</dt>
            <dd className={`min-w-0 flex-1 break-words ${field.mono ? 'mono' : ''}`}>{field.value}</dd>
            <FieldActions field={field} onFilter={onFilter} />
          </div>
        ))}
      </dl>
    </section>
  );
}

function FieldActions({
  field,
  onFilter,
}: {
  readonly field: Field;
  readonly onFilter: OnFilter;
}): ReactElement | null {
  if (!field.filter && !field.copy) return null;
  return (
    <dd className="-my-0.5 flex shrink-0 opacity-0 focus-within:opacity-100 group-hover/field:opacity-100">
      {field.filter && (
        <FilterButton what={`${field.name} ${field.value}`} onClick={() => onFilter(field.filter ?? {})} />
      )}
      {field.copy && <CopyButton text={field.value} what={field.name} />}
    </dd>
  );
}

function FilterButton({ what, onClick }: { readonly what: string; readonly onClick: () => void }): ReactElement {
  return (
    <button
      type="button"
      aria-label={`Show only ${what}`}
      title="Show only these"
      onClick={onClick}
      className="inline-flex size-6 items-center justify-center rounded text-ink-3 hover:bg-hover hover:text-ink"
    >
      <ListFilter className="size-3.5" aria-hidden="true" />
    </button>
  );
}

function ExposureGroup({
  exposure,
  onFilter,
}: {
  readonly exposure: NonNullable<ListedEvent['exposure']>;
  readonly onFilter: OnFilter;
}): ReactElement {
  const patients = exposure.patients ?? [];
  const sums = [
    exposure.count !== undefined && plural(exposure.count, 'resource'),
    exposure.bytes !== undefined && formatBytes(exposure.bytes),
  ].filter(Boolean);
  return (
    <section aria-label="What left">
      <h3 className="mb-1 flex items-baseline gap-2 font-semibold text-sm">
        What left <span className="font-normal text-ink-3">{sums.join(', ')}</span>
      </h3>
      {exposure.truncated && (
        <p className="mb-2 rounded-md bg-amber-wash px-3 py-2 text-amber">
          {patients.length > 0
            ? 'Not all of it was read: more may have left than is listed.'
            : 'It was not read, or not all of it: it may have been about anybody.'}
        </p>
      )}
      {patients.length > 0 ? (
        <ul className="max-h-80 overflow-y-auto">
          {patients.map((patient) => (
            <li
              key={patient.id}
              className="group/field -mx-2 flex min-h-7 items-start gap-4 rounded px-2 py-1 hover:bg-hover"
            >
              <span className="mono w-28 shrink-0">{patient.id}</span>
              <span className="min-w-0 flex-1 text-ink-2">
                {patient.classes?.map(plainWords).join(', ') || 'classes unknown'}
              </span>
              {patient.count !== undefined && (
                <span className="shrink-0 text-ink-3">{plural(patient.count, 'resource')}</span>
              )}
              <span className="-my-0.5 shrink-0 opacity-0 focus-within:opacity-100 group-hover/field:opacity-100">
                <FilterButton what={`patient ${patient.id}`} onClick={() => onFilter({ patient: patient.id })} />
              </span>
            </li>
          ))}
        </ul>
      ) : (
        !exposure.truncated && <p className="text-ink-2">Nothing about a patient.</p>
      )}
      {exposure.patientCount !== undefined && exposure.patientCount > patients.length && (
        <p className="text-ink-3">and {plural(exposure.patientCount - patients.length, 'other patient')}</p>
      )}
    </section>
  );
}

function TargetsGroup({
  targets,
  onFilter,
}: {
  readonly targets: NonNullable<ListedEvent['targets']>;
  readonly onFilter: OnFilter;
}): ReactElement {
  return (
    <section aria-label="Touched">
      <h3 className="mb-1 font-semibold text-sm">Touched</h3>
      <ul>
        {targets.map((target, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: targets have no identity of their own and never move
          <li key={i} className="group/field -mx-2 flex min-h-7 items-start gap-4 rounded px-2 py-1 hover:bg-hover">
            <span className="w-28 shrink-0 text-ink-3">{target.role ? plainWords(target.role) : 'object'}</span>
            <span className="min-w-0 flex-1 break-words">
              {target.type} {target.id && <span className="mono">{target.id}</span>}
              {target.version && <span className="text-ink-3"> version {target.version}</span>}
              {target.patient && target.patient !== target.id && (
                <span className="text-ink-2">
                  {' '}
                  of patient <span className="mono">{target.patient}</span>
                </span>
              )}
              {target.classes && target.classes.length > 0 && (
                <span className="block text-ink-3">{target.classes.map(plainWords).join(', ')}</span>
              )}
              {target.fields && target.fields.length > 0 && (
                <span className="mono block text-ink-3">{target.fields.join(', ')}</span>
              )}
            </span>
            <span className="-my-0.5 shrink-0 opacity-0 focus-within:opacity-100 group-hover/field:opacity-100">
              <FilterButton
                what={`${target.type} ${target.id ?? ''}`.trim()}
                onClick={() => onFilter({ resource: target.id ? `${target.type}/${target.id}` : target.type })}
              />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function ChangesGroup({ changes }: { readonly changes: NonNullable<ListedEvent['changes']> }): ReactElement {
  return (
    <section aria-label="Changes">
      <h3 className="mb-1 font-semibold text-sm">Changes</h3>
      <ul>
        {changes.map((change, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a path may change twice, and the order is the record's
          <li key={i} className="flex min-h-7 gap-4 py-1">
            <span className="w-28 shrink-0 text-ink-3">{change.op}</span>
            <span className="mono min-w-0 flex-1 break-words">
              {change.path}
              {(change.before ?? change.after) && (
                <span className="block text-ink-3">
                  {change.before ?? '–'} → {change.after ?? '–'}
                </span>
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
