import {
  type ActionFunctionArgs,
  type AppLoadContext,
  json,
  type LoaderFunctionArgs,
  redirect,
} from '@remix-run/node';
import { Form, useLoaderData, useNavigation } from '@remix-run/react';
import { z } from 'zod';
import type { SavedCard } from '../../server/http/load-context.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { humanize } from '../format.ts';
import { notFound, requireUser } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';

export const meta = pageTitle('Cards');

const removeSchema = z.object({ paymentMethodId: z.string().regex(/^\w{1,100}$/) });

export async function loader({ request, context }: LoaderFunctionArgs) {
  const user = requireUser(context);
  return json({
    cards: await savedCards(context, user.id),
    wasRemoved: new URL(request.url).searchParams.has('removed'),
  });
}

/** The cards, or null when Stripe, who keeps them, cannot be asked. */
async function savedCards(context: AppLoadContext, userId: string): Promise<SavedCard[] | null> {
  try {
    return await context.services.paymentMethods.list(userId);
  } catch (error) {
    context.reportError(error);
    return null;
  }
}

export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireUser(context);
  const parsed = removeSchema.safeParse(Object.fromEntries(await request.formData()));
  if (!parsed.success) throw notFound();
  const { paymentMethodId } = parsed.data;
  const removed = await context.services.paymentMethods.remove(user.id, paymentMethodId);
  if (!removed) throw notFound();
  return redirect('/account/payment-methods?removed');
}

export default function PaymentMethodsPage() {
  const { cards, wasRemoved } = useLoaderData<typeof loader>();
  return (
    <>
      <PageHeader
        title="Cards"
        lead="Cards that Stripe keeps for you. We never see their numbers."
      />
      <div className="grid max-w-2xl gap-5">
        {wasRemoved && (
          <div role="status">
            <Notice>The card was removed.</Notice>
          </div>
        )}
        <Card>
          {cards === null ? (
            <Notice tone="warning" title="Stripe cannot be reached">
              Your cards are safe there. Please try again in a moment.
            </Notice>
          ) : cards.length === 0 ? (
            <EmptyState title="No saved cards">
              You can still add funds: you enter the card when you pay.
            </EmptyState>
          ) : (
            <ul className="divide-y divide-line">
              {cards.map((card) => (
                <CardRow key={card.id} card={card} />
              ))}
            </ul>
          )}
        </Card>
      </div>
    </>
  );
}

function CardRow({ card }: { card: SavedCard }) {
  const busy = useNavigation().formData?.get('paymentMethodId') === card.id;
  const name = `${humanize(card.brand)} ending ${card.last4}`;
  const expires = `${String(card.expMonth).padStart(2, '0')}/${card.expYear}`;
  return (
    <li className="flex flex-wrap items-start justify-between gap-x-6 gap-y-2 py-4">
      <div>
        <p className="font-medium">{name}</p>
        <p className="text-sm text-ink-soft tabular-nums">Expires {expires}</p>
      </div>
      <details className="min-w-0">
        <summary className="inline-flex min-h-11 items-center rounded font-medium text-danger underline underline-offset-2">
          Remove<span className="sr-only"> {name}</span>
        </summary>
        <Form method="post" className="mt-2 grid gap-3">
          <p className="text-sm text-ink-soft">It can no longer be used to add funds.</p>
          <input type="hidden" name="paymentMethodId" value={card.id} />
          <Button tone="danger" busy={busy}>
            Yes, remove<span className="sr-only"> {name}</span>
          </Button>
        </Form>
      </details>
    </li>
  );
}
