import { formatDateTime } from '../format.ts';
import type { TopUpPhase } from '../top-up-phase.ts';
import { Card } from './card.tsx';
import { Money } from './money.tsx';
import { TextLink } from './text-link.tsx';

export interface RecentTopUp {
  topUpId: string;
  phase: TopUpPhase;
  amountMicros: string;
  currency: string;
  failureMessage: string | null;
  createdAt: string;
}

interface RecentTopUpsProps {
  topUps: RecentTopUp[];
  timezone: string;
}

/** The newest top-ups, each with where it stands and a way to its own page. */
export function RecentTopUps({ topUps, timezone }: RecentTopUpsProps) {
  if (topUps.length === 0) return null;
  return (
    <Card title="Your latest top-ups">
      <ul className="divide-y divide-line">
        {topUps.map((topUp) => (
          <li key={topUp.topUpId} className="py-3 first:pt-0 last:pb-0">
            <p className="flex flex-wrap justify-between gap-x-4">
              <TextLink to={`/account/top-up/${topUp.topUpId}`}>
                <Money micros={topUp.amountMicros} currency={topUp.currency} />
                <span className="sr-only"> of </span>
                <span aria-hidden="true"> · </span>
                {formatDateTime(topUp.createdAt, timezone)}
              </TextLink>
              <span className={tones[topUp.phase]}>{labels[topUp.phase]}</span>
            </p>
            <p className="text-sm text-ink-soft">{explanation(topUp)}</p>
          </li>
        ))}
      </ul>
    </Card>
  );
}

const labels: Record<TopUpPhase, string> = {
  received: 'Received',
  processing: 'Processing',
  unfinished: 'Not finished',
  action_needed: 'Confirmation needed',
  failed: 'Failed',
  canceled: 'Canceled',
  under_review: 'Under review',
};

const calm = 'font-medium';
const bad = 'font-medium text-danger';
const tones: Record<TopUpPhase, string> = {
  received: calm,
  processing: calm,
  unfinished: calm,
  action_needed: calm,
  failed: bad,
  canceled: calm,
  under_review: bad,
};

function explanation({ phase, failureMessage }: RecentTopUp): string {
  switch (phase) {
    case 'received':
      return 'It is in your balance.';
    case 'processing':
      return 'It is added to your balance when Stripe confirms it.';
    case 'unfinished':
      return 'The payment was not completed, and nothing was charged that we know of.';
    case 'action_needed':
      return 'Your bank wants you to confirm it. Nothing is charged before you do.';
    case 'failed':
      return `${failureMessage ?? 'Your card was not accepted.'} Nothing was charged.`;
    case 'canceled':
      return 'Nothing was charged.';
    case 'under_review':
      return 'What arrived differs from what you asked for. Support is looking at it.';
  }
}
