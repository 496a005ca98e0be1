import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { useActionData, useLoaderData } from '@remix-run/react';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { RateCardList } from '../components/rate-card-list.tsx';
import { sentence } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire } from '../wire.ts';

export const meta = pageTitle('Rate cards');

export async function loader({ context }: LoaderFunctionArgs) {
  requireSupport(context);
  return json(toWire(await context.services.rateCardDesk.list()));
}

/** Begins a draft of a published card. */
export async function action({ request, context }: ActionFunctionArgs) {
  const user = requireSupport(context);
  const cardId = String((await request.formData()).get('cardId') ?? '');
  const answer = await context.services.rateCardDesk.draft(cardId, `support:${user.id}`);
  return answer.ok
    ? redirect(`/admin/rate-cards/${answer.id}`)
    : json({ message: answer.message }, { status: 409 });
}

export default function RateCardsPage() {
  const cards = useLoaderData<typeof loader>();
  const refused = useActionData<typeof action>();
  const drafts = cards.filter(({ state }) => state === 'draft');
  const published = cards.filter(({ state }) => state !== 'draft');
  return (
    <>
      <PageHeader
        title="Rate cards"
        lead="Prices change by publishing a draft. A published card never changes."
      />
      <div className="grid gap-5">
        {refused && (
          <Notice tone="danger" alert>
            {sentence(refused.message)}.
          </Notice>
        )}
        <Card title="Drafts">
          {drafts.length === 0 ? (
            <EmptyState title="No drafts">
              Begin one from a published card below, or a customer's own from the page of their
              wallet.
            </EmptyState>
          ) : (
            <RateCardList cards={drafts} />
          )}
        </Card>
        <Card title="Published">
          <RateCardList cards={published} />
        </Card>
      </div>
    </>
  );
}
