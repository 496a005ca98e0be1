import type { SubscriptionView } from '../../server/http/views/subscriptions.ts';
import { formatDate } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Money } from './money.tsx';

interface SubscriptionListProps {
  subscriptions: Wire<SubscriptionView>[];
  currency: string;
  timezone: string;
}

/** What a user pays each month, whatever is used. */
export function SubscriptionList({ subscriptions, currency, timezone }: SubscriptionListProps) {
  return (
    <>
      <p className="mb-3 text-ink-soft">
        Taken from your balance after each month, in part for a part of one.
      </p>
      <ul className="divide-y divide-line">
        {subscriptions.map(({ subscriptionId, description, monthlyMicros, startsAt, endsAt }) => (
          <li key={subscriptionId} className="py-2.5">
            <p className="wrap-anywhere">
              {description}, <Money micros={monthlyMicros} currency={currency} /> a month
            </p>
            <p className="text-sm text-ink-soft">
              From {formatDate(startsAt, timezone)}
              {endsAt !== null && ` until ${formatDate(endsAt, timezone)}`}
            </p>
          </li>
        ))}
      </ul>
    </>
  );
}
