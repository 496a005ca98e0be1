import { type ActionFunctionArgs, json, type LoaderFunctionArgs, redirect } from '@remix-run/node';
import { Form, useActionData, useLoaderData } from '@remix-run/react';
import type { RateCardView } from '../../server/http/views/rate-cards.ts';
import { Button } from '../components/button.tsx';
import { Card } from '../components/card.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Notice } from '../components/notice.tsx';
import { PageHeader } from '../components/page-header.tsx';
import { TextLink } from '../components/text-link.tsx';
import { formatDateTime, formatQuantity, sentence } from '../format.ts';
import { requireSupport } from '../guards.server.ts';
import { pageTitle } from '../page-meta.ts';
import { toWire, type Wire } from '../wire.ts';

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

const STATES: Readonly<Record<RateCardView['state'], string>> = {
  draft: 'Draft',
  upcoming: 'Upcoming',
  in_effect: 'In effect',
  past: 'Past',
};

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
            <EmptyState title="No drafts">Begin one from a published card below.</EmptyState>
          ) : (
            <CardList cards={drafts} />
          )}
        </Card>
        <Card title="Published">
          <CardList cards={published} />
        </Card>
      </div>
    </>
  );
}

function CardList({ cards }: { cards: Wire<RateCardView>[] }) {
  return (
    <ol className="divide-y divide-line">
      {cards.map((card) => (
        <li key={card.id} className="flex flex-wrap items-center justify-between gap-4 py-3.5">
          <div className="min-w-0">
            <p className="font-medium wrap-anywhere">
              <TextLink to={`/admin/rate-cards/${card.id}`}>
                {card.name}
                {card.version !== null && `, version ${card.version}`}
              </TextLink>
            </p>
            <p className="text-sm text-ink-soft">
              {STATES[card.state]} · {card.currency} ·{' '}
              {card.userId !== null && `only for ${card.userId} · `}{' '}
              {formatQuantity(card.ruleCount, 'rule')}
              {card.effectiveFrom !== null &&
                ` · from ${formatDateTime(card.effectiveFrom, 'UTC')} UTC`}
            </p>
            <p className="text-sm wrap-anywhere text-ink-soft">
              {card.state === 'draft' ? 'Changed' : 'Published'} by {card.by},{' '}
              {formatDateTime(card.at, 'UTC')} UTC
            </p>
          </div>
          {card.state !== 'draft' && (
            <Form method="post">
              <input type="hidden" name="cardId" value={card.id} />
              <Button tone="secondary" aria-label={`Draft from ${card.name} ${card.version}`}>
                Draft from this
              </Button>
            </Form>
          )}
        </li>
      ))}
    </ol>
  );
}
