import { useNavigate } from '@remix-run/react';
import { Elements, useElements, useStripe } from '@stripe/react-stripe-js';
import { type FormEvent, useMemo, useRef, useState } from 'react';
import { formatMoney, microsToAmount, microsToMinorUnits, parseAmountMicros } from '../format.ts';
import { appearance, useStripeScript } from '../stripe-script.ts';
import { tabStorage, topUpAttempts } from '../top-up-attempt.ts';
import { type PaymentOutcome, payTopUp, startTopUp } from '../top-up-payment.ts';
import { AmountPicker } from './amount-picker.tsx';
import { Button } from './button.tsx';
import { CardField, type CardState } from './card-field.tsx';
import { Notice } from './notice.tsx';
import { TextLink } from './text-link.tsx';

export interface TopUpFormProps {
  walletId: string;
  currency: string;
  exponent: number;
  minMicros: string;
  maxMicros: string;
  presetsMicros: string[];
  stripePublishableKey: string;
  /** With it Stripe's form shows the saved cards and offers to save one. */
  customerSessionSecret: string | null;
  /** Top-ups of which nothing more can come; an attempt at one of them is over. */
  overTopUpIds: string[];
}

/**
 * The amount and the card in one form, for the browser only. The card's fields are Stripe's own, in
 * Stripe's frame.
 */
export function TopUpForm(props: TopUpFormProps) {
  const { walletId, currency, exponent, overTopUpIds } = props;
  const presets = props.presetsMicros.map((micros) => ({
    micros,
    amount: microsToAmount(BigInt(micros), exponent),
  }));
  // A reload comes back to the amount of the attempt under way.
  const [amount, setAmount] = useState(() => {
    const attempts = topUpAttempts(walletId, tabStorage());
    for (const topUpId of overTopUpIds) attempts.ended(topUpId);
    return attempts.current()?.amount ?? presets[1]?.amount ?? presets[0]?.amount ?? '';
  });
  const stripe = useStripeScript(props.stripePublishableKey);
  // Stripe's form keeps the session that it was made with, whatever the page loads later.
  const [customerSessionSecret] = useState(props.customerSessionSecret);

  const micros = parseAmountMicros(amount, exponent);
  const payableMicros = micros ?? BigInt(props.minMicros);
  const options = useMemo(
    () =>
      ({
        mode: 'payment',
        amount: microsToMinorUnits(payableMicros, exponent),
        currency: currency.toLowerCase(),
        appearance,
        ...(customerSessionSecret === null
          ? {}
          : { customerSessionClientSecret: customerSessionSecret }),
      }) as const,
    [payableMicros, exponent, currency, customerSessionSecret],
  );

  return (
    <Elements stripe={stripe === 'failed' ? null : stripe} options={options}>
      <PaymentForm
        {...props}
        presets={presets}
        amount={amount}
        micros={micros}
        hasLoadFailed={stripe === 'failed'}
        onAmountChange={setAmount}
      />
    </Elements>
  );
}

interface PaymentFormProps extends TopUpFormProps {
  presets: { micros: string; amount: string }[];
  amount: string;
  /** The amount as a number of micros, or null while it cannot be read as one. */
  micros: bigint | null;
  hasLoadFailed: boolean;
  onAmountChange(amount: string): void;
}

function PaymentForm(props: PaymentFormProps) {
  const { walletId, currency, exponent, amount, micros, onAmountChange } = props;
  const stripe = useStripe();
  const elements = useElements();
  const navigate = useNavigate();
  const formRef = useRef<HTMLFormElement>(null);
  const isPaying = useRef(false);
  const [busy, setBusy] = useState(false);
  const [loaded, setLoaded] = useState<CardState>('loading');
  const [amountError, setAmountError] = useState<string>();
  const [outcome, setOutcome] = useState<PaymentOutcome | null>(null);

  const refuseAmount = (message: string) => {
    setAmountError(message);
    formRef.current?.querySelector<HTMLInputElement>('input[name="amount"]')?.focus();
  };

  const pay = async (event: FormEvent) => {
    event.preventDefault();
    // The state of the button follows a render later; two quick presses must not both pass.
    if (isPaying.current || !stripe || !elements) return;
    setOutcome(null);
    const wrong = amountProblem(amount, micros, props);
    if (micros === null || wrong !== null) {
      refuseAmount(wrong ?? 'Enter an amount.');
      return;
    }
    isPaying.current = true;
    setBusy(true);
    const result = await payTopUp({
      stripe,
      elements,
      attempts: topUpAttempts(walletId, tabStorage()),
      amount: microsToAmount(micros, exponent),
      start: startTopUp,
      returnUrl: (topUpId) => `${window.location.origin}/account/top-up/${topUpId}`,
    });
    if (result.kind === 'follow') {
      navigate(`/account/top-up/${result.topUpId}${result.isConfirmed ? '?confirmed' : ''}`);
      return;
    }
    isPaying.current = false;
    setBusy(false);
    if (result.kind === 'amount') refuseAmount(result.message);
    else setOutcome(result);
  };

  const card = props.hasLoadFailed ? 'failed' : loaded;
  const limits = `${formatMoney(props.minMicros, currency)} to ${formatMoney(props.maxMicros, currency)}`;
  return (
    <form ref={formRef} noValidate onSubmit={pay} className="grid gap-6">
      <AmountPicker
        currency={currency}
        presets={props.presets}
        hint={`In ${currency}, from ${limits}.`}
        value={amount}
        error={amountError}
        disabled={busy}
        onChange={(next) => {
          setAmountError(undefined);
          onAmountChange(next);
        }}
      />
      <CardField
        card={card}
        onChange={setLoaded}
        reassurance="Nothing was charged."
        href="/account/top-up"
      />
      <OutcomeNotice outcome={outcome} />
      <Button busy={busy} disabled={card !== 'ready'} className="w-full">
        {micros === null ? 'Pay' : `Pay ${formatMoney(micros, currency)}`}
      </Button>
    </form>
  );
}

function OutcomeNotice({ outcome }: { outcome: PaymentOutcome | null }) {
  if (outcome?.kind === 'signed_out') {
    return (
      <Notice tone="warning" alert>
        You were signed out. Nothing was charged.{' '}
        <TextLink to="/login" reloadDocument>
          Sign in again
        </TextLink>
      </Notice>
    );
  }
  if (outcome?.kind !== 'problem') return null;
  return (
    <Notice tone="danger" alert>
      {outcome.message}
      {outcome.topUpId && (
        <>
          {' '}
          <TextLink to={`/account/top-up/${outcome.topUpId}`}>See how it stands</TextLink>
        </>
      )}
    </Notice>
  );
}

/** Why this amount cannot be paid, or null when it can. */
function amountProblem(
  typed: string,
  micros: bigint | null,
  { currency, exponent, minMicros, maxMicros }: TopUpFormProps,
): string | null {
  if (micros === null) {
    const [, whole, decimals = ''] = /^(\d+)(?:\.(\d+))?$/.exec(typed.trim()) ?? [];
    if (decimals.length > exponent) {
      return exponent === 0
        ? `${currency} has no decimals: enter a whole amount.`
        : `${currency} has ${exponent} decimals at the most.`;
    }
    if (whole !== undefined && BigInt(whole) > 0n) {
      return `The most is ${formatMoney(maxMicros, currency)}.`;
    }
    const example = microsToAmount(25_000_000n, exponent);
    return `Enter an amount like ${example}, without commas or currency signs.`;
  }
  if (micros < BigInt(minMicros)) return `The least is ${formatMoney(minMicros, currency)}.`;
  if (micros > BigInt(maxMicros)) return `The most is ${formatMoney(maxMicros, currency)}.`;
  return null;
}
