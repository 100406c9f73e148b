/**
 * Evidence of the event that is open, as a file that checks itself (docs/bundle.md). Why it is made is asked first: it discloses plain identifiers, and stands in the
 * ledger with its reason. Shown to those who may open records only.
 */
import { FileCheck } from 'lucide-react';
import { type FormEvent, type ReactElement, useState } from 'react';
import { type BundleFile, makeBundle } from '../api/client.ts';
import { useTenant } from '../ledger/use-log.ts';
import { useSession } from '../shell/session.tsx';
import { purposes } from '../text/labels.ts';
import { formatCount } from '../text/number.ts';
import { Button } from '../ui/button.tsx';
import { Modal } from '../ui/modal.tsx';

type Progress =
  | { readonly kind: 'asking' }
  | { readonly kind: 'making' }
  | { readonly kind: 'made'; readonly name: string }
  | { readonly kind: 'failed'; readonly why: string };

const fieldClass = 'h-9 w-full rounded-md border border-line-strong bg-surface px-3 text-ink';

export function EvidenceButton({ index }: { readonly index: number }): ReactElement | null {
  const { person } = useSession();
  const [open, setOpen] = useState(false);
  if (!person.rights.includes('open')) return null;
  return (
    <>
      <Button
        tone="quiet"
        icon
        aria-label="Evidence of this event"
        title="Evidence of this event"
        onClick={() => setOpen(true)}
      >
        <FileCheck className="size-4" aria-hidden="true" />
      </Button>
      <Modal
        open={open}
        onOpenChange={setOpen}
        title={`Evidence of event ${formatCount(index)}`}
        description="Makes a file with this event and its proof"
      >
        <EvidenceForm index={index} />
      </Modal>
    </>
  );
}

function EvidenceForm({ index }: { readonly index: number }): ReactElement {
  const tenant = useTenant();
  const [progress, setProgress] = useState<Progress>({ kind: 'asking' });
  const make = async (form: FormData): Promise<void> => {
    setProgress({ kind: 'making' });
    try {
      const asked = { index, purpose: String(form.get('purpose')), reason: String(form.get('reason')).trim() };
      const file = await makeBundle(tenant, asked);
      save(file);
      setProgress({ kind: 'made', name: file.name });
    } catch (error) {
      setProgress({ kind: 'failed', why: error instanceof Error ? error.message : 'It could not be made.' });
    }
  };
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    void make(new FormData(event.currentTarget));
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4 px-6 pt-1 pb-6">
      <p className="text-ink-2">
        One file with this event as it was stored, plain identifiers included, and its proof. Anybody can check it in a
        browser, offline. Who makes it, and why, is recorded in the ledger before the file leaves.
      </p>
      <label className="flex flex-col gap-1 font-medium">
        Purpose
        <select name="purpose" defaultValue="HOPERAT" className={fieldClass}>
          {Object.entries(purposes).map(([code, words]) => (
            <option key={code} value={code}>
              {words.charAt(0).toUpperCase() + words.slice(1)}
            </option>
          ))}
        </select>
      </label>
      <label className="flex flex-col gap-1 font-medium">
        Reason
        <input name="reason" required maxLength={500} pattern=".*\S.*" autoComplete="off" className={fieldClass} />
      </label>
      <div className="flex items-center gap-3">
        <Button tone="primary" type="submit" disabled={progress.kind === 'making'}>
          Make the file
        </Button>
        <p role="status" className={progress.kind === 'failed' ? 'text-red' : 'text-ink-2'}>
          {said(progress)}
        </p>
      </div>
    </form>
  );
}

function said(progress: Progress): string {
  switch (progress.kind) {
    case 'asking':
      return '';
    case 'making':
      return 'Making it.';
    case 'made':
      return `Saved as ${progress.name}.`;
    case 'failed':
      return progress.why;
    default:
      return progress satisfies never;
  }
}

function save({ name, content }: BundleFile): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
