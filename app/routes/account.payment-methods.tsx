import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData } from '@remix-run/react';
import { useState } from 'react';
import { z } from 'zod';
import type { CardChange } from '../../server/views/cards.ts';
import { AddCardForm } from '../components/add-card-form.tsx';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { SavedCardRow } from '../components/saved-card-row.tsx';
import { notFound, requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { useHydrated } from '../use-hydrated.ts';

export const meta = pageTitle('Cards');

const paymentMethodId = z.string().regex(/^\w{1,100}$/);
const changeSchema = z.discriminatedUnion('intent', [
  z.object({ intent: z.literal('remove'), paymentMethodId }),
  z.object({ intent: z.literal('rename'), paymentMethodId, name: z.string().max(1000) }),
  z.object({
    intent: z.literal('move'),
    paymentMethodId,
    position: z.coerce.number().int().min(1).max(1000),
  }),
]);

/** What was done before the page was opened, as the address says it. */
const DONE = {
  added: 'The card was saved.',
  renamed: 'The name was changed.',
  moved: 'The order was changed.',
  removed: 'The card was removed.',
} as const;

export async function loader({ request, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  const { searchParams } = new URL(request.url);
  if (searchParams.has('setup_intent')) {
    // A bank's redirect brings a client secret along, which must not stay in the address.
    const isAccepted = searchParams.get('redirect_status') === 'succeeded';
    throw redirect(`/account/payment-methods?done=${isAccepted ? 'added' : 'refused'}`);
  }
  const { wallets, paymentMethods } = context.services;
  const [saved, wallet] = await Promise.all([
    paymentMethods.list(user.id),
    wallets.ofUser(user.id),
  ]);
  const done = searchParams.get('done') ?? '';
  return json({
    ...saved,
    currency: wallet.currency,
    stripePublishableKey: context.config.stripePublishableKey,
    done: isDone(done) ? DONE[done] : null,
    wasRefused: done === 'refused',
  });
}

function isDone(text: string): text is keyof typeof DONE {
  return Object.hasOwn(DONE, text);
}

export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireUser(context);
  const parsed = changeSchema.safeParse(Object.fromEntries(await request.formData()));
  if (!parsed.success) throw notFound();
  const { paymentMethods } = context.services;
  const change = parsed.data;
  const changed = (done: keyof typeof DONE, result: CardChange) =>
    result.ok
      ? redirect(`/account/payment-methods?done=${done}`)
      : json(
          { ...result, paymentMethodId: change.paymentMethodId },
          { status: result.code === 'PAYMENT_PROVIDER_UNAVAILABLE' ? 503 : 422 },
        );
  switch (change.intent) {
    case 'remove':
      return changed('removed', await paymentMethods.remove(user.id, change.paymentMethodId));
    case 'rename':
      return changed(
        'renamed',
        await paymentMethods.rename(user.id, change.paymentMethodId, change.name),
      );
    case 'move':
      return changed(
        'moved',
        await paymentMethods.move(user.id, change.paymentMethodId, change.position),
      );
  }
}

export default function PaymentMethodsPage() {
  const { cards, isCurrent, done, wasRefused } = useLoaderData<typeof loader>();
  const refusal = useActionData<typeof action>();
  return (
    <>
      <PageHeader
        title="Cards"
        lead="Cards that Stripe keeps for you. We never see their numbers."
      />
      <div className="grid max-w-2xl gap-5">
        {done !== null && !refusal && (
          <div role="status">
            <Notice>{done}</Notice>
          </div>
        )}
        {wasRefused && !refusal && (
          <Notice tone="danger" alert>
            Your bank did not confirm the card, so it was not saved.
          </Notice>
        )}
        {refusal && refusal.code !== 'INVALID_NAME' && (
          <Notice tone="danger" alert>
            {refusal.message}
          </Notice>
        )}
        {!isCurrent && (
          <Notice tone="warning" title="Stripe cannot be reached">
            {cards.length === 0
              ? 'Your cards are safe there. Please try again in a moment.'
              : 'This is what we know; your cards are safe there.'}
          </Notice>
        )}
        {(cards.length > 0 || isCurrent) && (
          <Card>
            {cards.length === 0 ? (
              <EmptyState title="No saved cards">
                You can still add funds: you enter the card when you pay.
              </EmptyState>
            ) : (
              <>
                {cards.length > 1 && (
                  <p className="mb-5 text-ink-soft">
                    The default card is used first; the backups follow in this order.
                  </p>
                )}
                <ul className="divide-y divide-line">
                  {cards.map((card, index) => (
                    <SavedCardRow
                      key={card.id}
                      card={card}
                      position={index + 1}
                      count={cards.length}
                      nameError={
                        refusal?.code === 'INVALID_NAME' && refusal.paymentMethodId === card.id
                          ? refusal.message
                          : undefined
                      }
                    />
                  ))}
                </ul>
              </>
            )}
          </Card>
        )}
        <AddCard />
      </div>
    </>
  );
}

function AddCard() {
  const { currency, stripePublishableKey } = useLoaderData<typeof loader>();
  const isHydrated = useHydrated();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <noscript>
        <Notice title="Adding a card needs JavaScript">
          The card form is Stripe’s and works only with JavaScript. Everything else here works
          without it.
        </Notice>
      </noscript>
      {isHydrated && !isOpen && (
        <Button
          type="button"
          tone="secondary"
          className="justify-self-start"
          onClick={() => setOpen(true)}
        >
          Add a card
        </Button>
      )}
      {isOpen && (
        <Card title="Add a card">
          <AddCardForm
            currency={currency}
            stripePublishableKey={stripePublishableKey}
            onClose={() => setOpen(false)}
          />
        </Card>
      )}
    </>
  );
}
