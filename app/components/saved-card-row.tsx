import { Form, useNavigation } from '@remix-run/react';
import type { ReactNode } from 'react';
import type { SavedCard } from '../../server/views/cards.ts';
import { humanize } from '../format.ts';
import { Button } from './button.tsx';
import { Field } from './field.tsx';

interface SavedCardRowProps {
  card: SavedCard;
  /** 1 is the default. */
  position: number;
  count: number;
  /** Why the name that was just sent was not taken. */
  nameError: string | undefined;
}

/** A saved card with all that can be done with it; works without scripts. */
export function SavedCardRow({ card, position, count, nameError }: SavedCardRowProps) {
  const printed = `${humanize(card.brand)} ending ${card.last4}`;
  const called = card.name === null ? printed : `${card.name}, ${printed}`;
  return (
    <li className="grid gap-3 py-5 first:pt-0 last:pb-0">
      <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-2">
        <div className="min-w-0">
          <p className="font-medium break-words">{card.name ?? printed}</p>
          <p className="text-sm text-ink-soft tabular-nums">
            {card.name !== null && `${printed} · `}
            <Expiry card={card} />
          </p>
        </div>
        <Badge strong={position === 1}>
          {position === 1 ? 'Default' : count === 2 ? 'Backup' : `Backup ${position - 1}`}
        </Badge>
      </div>
      <div className="flex flex-wrap items-start gap-x-5 gap-y-1">
        {position > 1 && (
          <MoveButton card={card} to={1} called={called}>
            Make default
          </MoveButton>
        )}
        {position > 2 && (
          <MoveButton card={card} to={position - 1} called={called}>
            Move up
          </MoveButton>
        )}
        {position > 1 && position < count && (
          <MoveButton card={card} to={position + 1} called={called}>
            Move down
          </MoveButton>
        )}
        <RenameForm card={card} called={called} error={nameError} />
        <RemoveForm card={card} called={called} />
      </div>
    </li>
  );
}

function Expiry({ card: { expMonth, expYear, expiry } }: { card: SavedCard }) {
  const date = `${String(expMonth).padStart(2, '0')}/${expYear}`;
  if (expiry === 'valid') return <>Expires {date}</>;
  return (
    <strong className="font-semibold text-danger">
      {expiry === 'expired' ? `Expired ${date}` : `Expires soon: ${date}`}
    </strong>
  );
}

function Badge({ strong, children }: { strong: boolean; children: ReactNode }) {
  const tone = strong ? 'border-accent bg-accent-soft' : 'border-line-strong bg-surface';
  return (
    <span className={`rounded-full border px-3 py-0.5 text-sm font-medium ${tone}`}>
      {children}
    </span>
  );
}

const linkLike =
  'inline-flex min-h-11 items-center rounded font-medium underline underline-offset-2 cursor-pointer';

function useBusy(cardId: string, intent: string): boolean {
  const data = useNavigation().formData;
  return data?.get('paymentMethodId') === cardId && data.get('intent') === intent;
}

interface MoveButtonProps {
  card: SavedCard;
  to: number;
  called: string;
  children: ReactNode;
}

function MoveButton({ card, to, called, children }: MoveButtonProps) {
  const busy = useBusy(card.id, 'move');
  return (
    <Form method="post" replace>
      <input type="hidden" name="paymentMethodId" value={card.id} />
      <input type="hidden" name="position" value={to} />
      <button
        type="submit"
        name="intent"
        value="move"
        disabled={busy}
        className={`${linkLike} text-accent hover:text-accent-strong disabled:opacity-60`}
      >
        {children}
        <span className="sr-only"> {called}</span>
      </button>
    </Form>
  );
}

interface ChangeFormProps {
  card: SavedCard;
  called: string;
}

function RenameForm({ card, called, error }: ChangeFormProps & { error: string | undefined }) {
  const busy = useBusy(card.id, 'rename');
  return (
    // Another name closes the form that asked for it.
    <details key={card.name} open={error !== undefined} className="min-w-0">
      <summary className={`${linkLike} text-accent`}>
        {card.name === null ? 'Name' : 'Rename'}
        <span className="sr-only"> {called}</span>
      </summary>
      <Form method="post" replace noValidate className="mt-2 grid gap-3">
        <input type="hidden" name="paymentMethodId" value={card.id} />
        <input type="hidden" name="intent" value="rename" />
        <Field
          id={`name-${card.id}`}
          name="name"
          label="Name of the card"
          hint="Only you see it. Empty takes it away."
          defaultValue={card.name ?? ''}
          maxLength={40}
          autoComplete="off"
          error={error}
        />
        <Button busy={busy} className="justify-self-start">
          Save name
        </Button>
      </Form>
    </details>
  );
}

function RemoveForm({ card, called }: ChangeFormProps) {
  const busy = useBusy(card.id, 'remove');
  return (
    <details className="min-w-0">
      <summary className={`${linkLike} text-danger`}>
        Remove<span className="sr-only"> {called}</span>
      </summary>
      <Form method="post" replace className="mt-2 grid gap-3">
        <p className="text-sm text-ink-soft">It can no longer be used to add funds.</p>
        <input type="hidden" name="paymentMethodId" value={card.id} />
        <input type="hidden" name="intent" value="remove" />
        <Button tone="danger" busy={busy} className="justify-self-start">
          Yes, remove<span className="sr-only"> {called}</span>
        </Button>
      </Form>
    </details>
  );
}
