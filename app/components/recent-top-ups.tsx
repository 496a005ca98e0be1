import { formatDateTime } from '../format.ts';
import { describeMoneyBack, type MoneyBack } from '../money-back.ts';
import type { TopUpPhase } from '../top-up-phase.ts';
import { Card } from './card.tsx';
import { Money } from './money.tsx';
import { TextLink } from './text-link.tsx';

export interface RecentTopUp extends MoneyBack {
  topUpId: string;
  /** Charged by the automatic top-up. */
  isAutomatic: boolean;
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
          <TopUpRow key={topUp.topUpId} topUp={topUp} timezone={timezone} />
        ))}
      </ul>
    </Card>
  );
}

function TopUpRow({ topUp, timezone }: { topUp: RecentTopUp; timezone: string }) {
  const back = topUp.phase === 'received' ? describeMoneyBack(topUp) : null;
  const isBad = back === null ? badPhases.has(topUp.phase) : back.tone === 'bad';
  return (
    <li className="py-3 first:pt-0 last:pb-0">
      <p className="flex flex-wrap justify-between gap-x-4">
        <TextLink to={`/account/top-up/${topUp.topUpId}`}>
          <Money micros={topUp.amountMicros} currency={topUp.currency} />
          <span className="sr-only"> of </span>
          <span aria-hidden="true"> · </span>
          {formatDateTime(topUp.createdAt, timezone)}
        </TextLink>
        <span className={`font-medium ${isBad ? 'text-danger' : ''}`}>
          {back?.label ?? labels[topUp.phase]}
        </span>
      </p>
      <p className="text-sm text-ink-soft">
        {topUp.isAutomatic && 'Automatic top-up. '}
        {back?.text ?? explanation(topUp)}
      </p>
    </li>
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

const badPhases: ReadonlySet<TopUpPhase> = new Set(['failed', 'under_review']);

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
