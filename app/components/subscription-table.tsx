import type { SubscriptionView } from '../../server/http/views/subscriptions.ts';
import { formatDate, formatMonthTo } from '../format.ts';
import type { Wire } from '../wire.ts';
import { DataTable } from './data-table.tsx';
import { Money } from './money.tsx';

interface SubscriptionTableProps {
  subscriptions: Wire<SubscriptionView>[];
  currency: string;
  timezone: string;
}

const KINDS = { plan: 'Plan', number: 'Rented number' } as const;

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
      rows={subscriptions.map(
        ({ subscriptionId, kind, description, monthlyMicros, startsAt, endsAt, billedTo }) => ({
          key: subscriptionId,
          cells: {
            description: (
              <>
                <span className="wrap-anywhere">{description}</span>
                <span className="block text-sm text-ink-soft">
                  {KINDS[kind]} from {formatDate(startsAt, timezone)}
                  {endsAt !== null && ` until ${formatDate(endsAt, timezone)}`}
                </span>
              </>
            ),
            posted: billedTo === null ? 'None yet' : formatMonthTo(billedTo, timezone),
            amount: <Money micros={monthlyMicros} currency={currency} />,
          },
        }),
      )}
    />
  );
}
