import { useNavigate } from '@remix-run/react';
import { Elements, useElements, useStripe } from '@stripe/react-stripe-js';
import type { StripeElementsOptionsMode } from '@stripe/stripe-js';
import { type FormEvent, useMemo, useRef, useState } from 'react';
import { type SetupOutcome, saveCard, startCardSetup } from '../card-setup.ts';
import { appearance, useStripeScript } from '../stripe-script.ts';
import { Button } from './button.tsx';
import { CardField, type CardState } from './card-field.tsx';
import { Notice } from './notice.tsx';
import { TextLink } from './text-link.tsx';

interface AddCardFormProps {
  currency: string;
  stripePublishableKey: string;
  onClose(): void;
}

/** The fields of a card, which are Stripe's own in Stripe's frame, for the browser only. */
export function AddCardForm(props: AddCardFormProps) {
  const stripe = useStripeScript(props.stripePublishableKey);
  const { currency } = props;
  const options = useMemo<StripeElementsOptionsMode>(
    () => ({
      mode: 'setup',
      currency: currency.toLowerCase(),
      setupFutureUsage: 'off_session',
      allowedPaymentMethodTypes: ['card'],
      appearance,
    }),
    [currency],
  );
  return (
    <Elements stripe={stripe === 'failed' ? null : stripe} options={options}>
      <SetupForm {...props} hasLoadFailed={stripe === 'failed'} />
    </Elements>
  );
}

function SetupForm({ hasLoadFailed, onClose }: AddCardFormProps & { hasLoadFailed: boolean }) {
  const stripe = useStripe();
  const elements = useElements();
  const navigate = useNavigate();
  const [attemptKey] = useState(() => crypto.randomUUID());
  const isSaving = useRef(false);
  const [busy, setBusy] = useState(false);
  const [loaded, setLoaded] = useState<CardState>('loading');
  const [outcome, setOutcome] = useState<SetupOutcome | null>(null);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    // The state of the button follows a render later; two quick presses must not both pass.
    if (isSaving.current || !stripe || !elements) return;
    isSaving.current = true;
    setOutcome(null);
    setBusy(true);
    const result = await saveCard({
      stripe,
      elements,
      attemptKey,
      start: startCardSetup,
      returnUrl: `${window.location.origin}/account/payment-methods`,
    });
    if (result.kind === 'saved') {
      navigate('/account/payment-methods?done=added');
      onClose();
      return;
    }
    isSaving.current = false;
    setBusy(false);
    setOutcome(result);
  };

  const card = hasLoadFailed ? 'failed' : loaded;
  return (
    <form noValidate onSubmit={save} className="grid gap-5">
      <p className="text-ink-soft">
        Stripe keeps the card for you, and we never see its number. Nothing is charged now; you can
        remove the card at any time.
      </p>
      <CardField card={card} onChange={setLoaded} href="/account/payment-methods" />
      {outcome?.kind === 'problem' && (
        <Notice tone="danger" alert>
          {outcome.message}
        </Notice>
      )}
      {outcome?.kind === 'signed_out' && (
        <Notice tone="warning" alert>
          You were signed out, and the card was not saved.{' '}
          <TextLink to="/login" reloadDocument>
            Sign in again
          </TextLink>
        </Notice>
      )}
      <div className="flex flex-wrap gap-3">
        <Button busy={busy} disabled={card !== 'ready'}>
          Save card
        </Button>
        <Button type="button" tone="secondary" disabled={busy} onClick={onClose}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
