import type { SubscriptionView } from '../../server/views/subscriptions.ts';
import { describeRun } from '../subscriptions.ts';
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
        {subscriptions.map((subscription) => (
          <li key={subscription.subscriptionId} className="py-2.5">
            <p className="wrap-anywhere">
              {subscription.description},{' '}
              <Money micros={subscription.monthlyMicros} currency={currency} /> a month
            </p>
            <p className="text-sm text-ink-soft">{describeRun(subscription, timezone)}</p>
          </li>
        ))}
      </ul>
    </>
  );
}
