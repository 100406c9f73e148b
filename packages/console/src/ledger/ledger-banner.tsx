/** Over every screen when the ledger is not intact: what was seen, what is safe, what to do. */
import { useQueryClient } from '@tanstack/react-query';
import { OctagonPause } from 'lucide-react';
import { type ReactElement, useState } from 'react';
import { useRecordingRefusal } from '../api/recording.ts';
import { trustKey } from '../proof/log-memory.ts';
import type { ChangedPin } from '../proof/log-watch.ts';
import { formatFullTime } from '../time/format.ts';
import { Button } from '../ui/button.tsx';
import { Modal } from '../ui/modal.tsx';
import { SealShape } from '../ui/seal.tsx';
import { describeLog } from './log-words.ts';
import { useLog, useTenant } from './use-log.ts';

export function LedgerBanner(): ReactElement {
  return (
    <>
      <NotIntact />
      <NotRecording />
    </>
  );
}

/** Reads are recorded before they are answered: a ledger that takes no records answers none. */
function NotRecording(): ReactElement | null {
  const refusal = useRecordingRefusal();
  if (!refusal) return null;
  return (
    <div
      role="alert"
      className="flex flex-wrap items-start gap-3 border-red-mark border-b bg-red-wash px-4 py-2.5 md:px-6"
    >
      <OctagonPause className="mt-0.5 size-4 shrink-0 text-red" aria-hidden="true" />
      <p className="min-w-0 flex-1 basis-80 text-ink">
        <strong className="font-semibold text-red">{refusal.title}.</strong> Looking is recorded before it is answered,
        so nothing more can be read until it does.{' '}
        <span className="text-ink-2">
          What is on record stays; senders keep their events and send them later. The Ledger screen says why.
        </span>
      </p>
    </div>
  );
}

function NotIntact(): ReactElement | null {
  const log = useLog().data;
  if (!log || log.kind === 'intact') return null;
  const words = describeLog(log);
  return (
    <div
      role="alert"
      className="flex flex-wrap items-start gap-3 border-red-mark border-b bg-red-wash px-4 py-2.5 md:px-6"
    >
      <SealShape state="not-intact" className="mt-0.5" />
      <p className="min-w-0 flex-1 basis-80 text-ink">
        <strong className="font-semibold text-red">{words.title}.</strong> {words.text}{' '}
        <span className="text-ink-2">Keep what you have, and tell whoever answers for this server.</span>
      </p>
      {(log.kind === 'key-changed' || log.kind === 'key-revoked') && <KeyDecision pin={log.pin} />}
    </div>
  );
}

function KeyDecision({ pin }: { readonly pin: ChangedPin }): ReactElement {
  const [open, setOpen] = useState(false);
  const client = useQueryClient();
  const tenant = useTenant();
  const trust = (): void => {
    trustKey(localStorage, tenant, pin.stated, new Date().toISOString());
    setOpen(false);
    void client.invalidateQueries({ queryKey: ['log'] });
    void client.invalidateQueries({ queryKey: ['proof'] });
  };
  return (
    <>
      <Button tone="danger" onClick={() => setOpen(true)}>
        Compare keys…
      </Button>
      <Modal
        open={open}
        onOpenChange={setOpen}
        title="Trust another key?"
        description="Compare the remembered with the stated verifier key"
      >
        <div className="flex flex-col gap-4 px-6 pb-6">
          <p className="text-ink-2">
            Ask somebody who runs this server, by another way than this one, to read you the key. Trusting it makes this
            browser forget the old key and the checkpoint it proved.
          </p>
          <dl className="flex flex-col gap-3">
            <div>
              <dt className="label">Remembered since {formatFullTime(pin.log.since, 'local')}</dt>
              <dd className="mono break-all">{pin.log.vkey}</dd>
            </div>
            <div>
              <dt className="label">Stated now</dt>
              <dd className="mono break-all">{pin.stated}</dd>
            </div>
          </dl>
          <div className="flex justify-end gap-2">
            <Button onClick={() => setOpen(false)}>Keep the old key</Button>
            <Button tone="danger" onClick={trust}>
              Trust the stated key
            </Button>
          </div>
        </div>
      </Modal>
    </>
  );
}
