import { json, type LoaderFunctionArgs } from '@remix-run/node';
import { useLoaderData } from '@remix-run/react';
import { loadStripe } from '@stripe/stripe-js/pure';
import { useRef, useState } from 'react';
import type { RecoveryView } from '../../server/views/auto-top-ups.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { Money } from '../components/money.tsx';
import { Notice } from '../components/notice.tsx';
import { TextLink } from '../components/text-link.tsx';
import { humanize } from '../format.ts';
import { notFound } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import {
  confirmRecovery,
  type RecoveryOutcome,
  type StartedRecovery,
  startRecovery,
} from '../recovery-payment.ts';
import { useHydrated } from '../use-hydrated.ts';
import { usePolling } from '../use-polling.ts';
import { toWire, type Wire } from '../wire.ts';

export const meta = pageTitle('Confirm a payment');

/** Whoever holds the link may finish the payment; it shows nothing else of the account. */
export async function loader({ request, context }: LoaderFunctionArgs) {
  const token = new URL(request.url).searchParams.get('token') ?? '';
  const payment = await context.services.autoTopUps.findRecovery(token);
  if (payment === null) throw notFound();
  return json(
    {
      token,
      payment: toWire(payment),
      stripePublishableKey: context.config.stripePublishableKey,
    },
    { headers: { 'Referrer-Policy': 'no-referrer' } },
  );
}

const headings: Record<RecoveryView['state'], string> = {
  open: 'Confirm a payment',
  used: 'This link was used',
  expired: 'This link has expired',
  paid: 'Payment received',
  over: 'Nothing to confirm',
};

export default function ConfirmPaymentPage() {
  const { token, payment, stripePublishableKey } = useLoaderData<typeof loader>();
  const [started, setStarted] = useState<StartedRecovery | null>(null);
  const [outcome, setOutcome] = useState<RecoveryOutcome | null>(null);
  const [busy, setBusy] = useState(false);
  const isPaying = useRef(false);
  const isHydrated = useHydrated();
  const isConfirmed = outcome?.kind === 'confirmed';
  usePolling(isConfirmed && payment.state !== 'paid');

  const confirm = async () => {
    // The state of the button follows a render later; two quick presses must not both pass.
    if (isPaying.current) return;
    isPaying.current = true;
    setBusy(true);
    setOutcome(await pay());
    isPaying.current = false;
    setBusy(false);
  };

  const pay = async (): Promise<RecoveryOutcome> => {
    const stripe = await loadStripe(stripePublishableKey).catch(() => null);
    if (stripe === null) {
      return { kind: 'problem', message: 'Stripe could not be loaded. Nothing was charged.' };
    }
    const reply = started ?? (await startRecovery(token));
    if (!reply.ok) return { kind: 'problem', message: reply.message };
    setStarted(reply);
    return confirmRecovery(stripe, reply);
  };

  // The link is used up as soon as the button was pressed; for this page it is still the one.
  const isOpen = payment.state === 'open' || (started !== null && payment.state === 'used');
  const state = isOpen ? 'open' : payment.state;
  return (
    <div className="mx-auto max-w-xl">
      <Card>
        <div aria-live="polite" className="grid gap-5">
          <h1 className="text-2xl font-semibold tracking-tight sm:text-3xl">
            {isOpen && isConfirmed ? 'Payment processing' : headings[state]}
          </h1>
          <StateText state={state} payment={payment} isConfirmed={isConfirmed} />
          {outcome?.kind === 'problem' && (
            <Notice tone="danger" alert>
              {outcome.message}
            </Notice>
          )}
          {isOpen && !isConfirmed && (
            <>
              <noscript>
                <Notice tone="warning" title="Confirming needs JavaScript">
                  Your bank’s question is shown by Stripe’s script. Turn JavaScript on for this
                  page.
                </Notice>
              </noscript>
              <Button type="button" busy={busy} disabled={!isHydrated} onClick={confirm}>
                Confirm with my bank
              </Button>
            </>
          )}
        </div>
      </Card>
    </div>
  );
}

function StateText({
  state,
  payment,
  isConfirmed,
}: {
  state: RecoveryView['state'];
  payment: Wire<RecoveryView>;
  isConfirmed: boolean;
}) {
  const amount = <Money micros={payment.amountMicros} currency={payment.currency} />;
  const card = `${humanize(payment.card.brand)} ending ${payment.card.last4}`;
  const settings = <TextLink to="/account/auto-top-up">Automatic top-up</TextLink>;
  switch (state) {
    case 'open':
      return isConfirmed ? (
        <p>Your payment of {amount} was confirmed. It is added as soon as Stripe says so.</p>
      ) : (
        <p>
          Your bank wants you to confirm an automatic top-up of {amount} by {card}. Nothing is
          charged before you do.
        </p>
      );
    case 'used':
      return <p>If the payment still waits for you, open a new link: {settings}.</p>;
    case 'expired':
      return (
        <p>
          The payment of {amount} may still wait for you: {settings}.
        </p>
      );
    case 'paid':
      return (
        <p>
          {amount} was added to your wallet, and automatic top-up goes on. {settings}.
        </p>
      );
    case 'over':
      return (
        <p>
          The payment of {amount} does not wait for you any more. {settings}.
        </p>
      );
  }
}
