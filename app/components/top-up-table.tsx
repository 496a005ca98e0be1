import type { TopUpView } from '../../server/views/top-ups.ts';
import { formatDateTime, humanize } from '../format.ts';
import { describeMoneyBack } from '../money-back.ts';
import type { Wire } from '../wire.ts';
import { DataTable } from './data-table.tsx';
import { Money } from './money.tsx';

/** Top-ups for support staff: what became of each, and what came back of it. */
export function TopUpTable({ topUps, timezone }: { topUps: Wire<TopUpView>[]; timezone: string }) {
  return (
    <DataTable
      caption="Latest top-ups"
      columns={[
        { key: 'when', title: 'When' },
        { key: 'state', title: 'State' },
        { key: 'amount', title: 'Amount', numeric: true },
      ]}
      rows={topUps.map((topUp) => {
        const back = topUp.status === 'succeeded' ? describeMoneyBack(topUp) : null;
        return {
          key: topUp.topUpId,
          cells: {
            when: formatDateTime(topUp.createdAt, timezone),
            state: (
              <>
                {back?.label ?? humanize(topUp.status)}
                <span className="block text-sm text-ink-soft">
                  {[topUp.kind === 'auto' ? 'Automatic.' : null, back?.text ?? topUp.failureMessage]
                    .filter(Boolean)
                    .join(' ')}
                </span>
                <span className="block text-sm wrap-anywhere text-ink-soft">{topUp.topUpId}</span>
              </>
            ),
            amount: <Money micros={topUp.amountMicros} currency={topUp.currency} />,
          },
        };
      })}
    />
  );
}
