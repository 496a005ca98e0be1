import { Form } from '@remix-run/react';
import type { RateCardView } from '../../server/views/rate-cards.ts';
import { formatDateTime, formatQuantity } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Button } from './button.tsx';
import { TextLink } from './text-link.tsx';

const STATES: Readonly<Record<RateCardView['state'], string>> = {
  draft: 'Draft',
  upcoming: 'Upcoming',
  in_effect: 'In effect',
  past: 'Past',
};

/** Rate cards, one a line; of a published one a draft can be begun. */
export function RateCardList({ cards }: { cards: Wire<RateCardView>[] }) {
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
            <Form method="post" action="/admin/rate-cards">
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
