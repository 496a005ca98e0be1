import type { SubscriptionView } from '../../server/views/subscriptions.ts';
import { formatMonthTo } from '../format.ts';
import { describeRun } from '../subscriptions.ts';
import type { Wire } from '../wire.ts';
import { DataTable } from './data-table.tsx';
import { Money } from './money.tsx';

interface SubscriptionTableProps {
  subscriptions: Wire<SubscriptionView>[];
  currency: string;
  timezone: string;
}

/** Recurring fees for support staff: when each runs, and through which month it was posted. */
export function SubscriptionTable({ subscriptions, currency, timezone }: SubscriptionTableProps) {
  return (
    <DataTable
      caption="Recurring fees"
      columns={[
        { key: 'description', title: 'Fee' },
        { key: 'posted', title: 'Last month posted' },
        { key: 'amount', title: 'A month', numeric: true },
      ]}
      rows={subscriptions.map((subscription) => ({
        key: subscription.subscriptionId,
        cells: {
          description: (
            <>
              <span className="wrap-anywhere">{subscription.description}</span>
              <span className="block text-sm text-ink-soft">
                {describeRun(subscription, timezone)}
              </span>
            </>
          ),
          posted:
            subscription.billedTo === null
              ? 'None yet'
              : formatMonthTo(subscription.billedTo, timezone),
          amount: <Money micros={subscription.monthlyMicros} currency={currency} />,
        },
      }))}
    />
  );
}
