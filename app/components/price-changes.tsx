import type { CustomerChange, Totals } from '../../server/views/repricing.ts';
import { formatMoney, formatQuantity } from '../format.ts';
import type { Wire } from '../wire.ts';
import { Card } from './card.tsx';
import { DefinitionList } from './definition-list.tsx';
import { Money } from './money.tsx';
import { Notice } from './notice.tsx';

interface PriceChangesProps {
  totals: Wire<Totals>;
  currency: string;
  finished: boolean;
}

/** What another card makes of usage: all customers together, and those it changes most. */
export function PriceChanges({ totals, currency, finished }: PriceChangesProps) {
  const { customers, changed, usages, withoutRate, withoutRateMicros } = totals;
  return (
    <div className="grid gap-5">
      {!finished && (
        <Notice tone="warning" title="Not all of it">
          There is more usage than a page waits for: these are the first{' '}
          {formatQuantity(customers, 'customer')}. The command and the CSV file have all of them.
        </Notice>
      )}
      <Card title="All together">
        <DefinitionList
          items={[
            { label: 'Usage', value: formatQuantity(usages, 'time') },
            { label: 'Customers', value: customers, hint: `${changed} pay another amount` },
            { label: 'Before', value: <Money micros={totals.beforeMicros} currency={currency} /> },
            { label: 'After', value: <Money micros={totals.afterMicros} currency={currency} /> },
            { label: 'Difference', value: differenceOf(totals, currency) },
            ...(withoutRate === 0
              ? []
              : [
                  {
                    label: 'Without a rate',
                    value: formatQuantity(withoutRate, 'time'),
                    hint: `Left out; billed ${formatMoney(withoutRateMicros, currency)}`,
                  },
                ]),
          ]}
        />
      </Card>
      <Customers title="Who gains most" changes={totals.gainers} currency={currency} />
      <Customers title="Who loses most" changes={totals.losers} currency={currency} />
    </div>
  );
}

interface CustomersProps {
  title: string;
  changes: Wire<CustomerChange>[];
  currency: string;
}

function Customers({ title, changes, currency }: CustomersProps) {
  if (changes.length === 0) return null;
  return (
    <Card title={title}>
      <ol className="divide-y divide-line">
        {changes.map((change) => (
          <li key={change.walletId} className="flex justify-between gap-4 py-2.5">
            <div className="min-w-0">
              <p className="font-medium wrap-anywhere">{change.userId}</p>
              <p className="text-sm text-ink-soft">
                {formatQuantity(change.usages, 'time')}, before{' '}
                <Money micros={change.beforeMicros} currency={currency} />, after{' '}
                <Money micros={change.afterMicros} currency={currency} />
              </p>
            </div>
            <p className="shrink-0 font-semibold tabular-nums">{differenceOf(change, currency)}</p>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function differenceOf(
  { beforeMicros, afterMicros }: { beforeMicros: string; afterMicros: string },
  currency: string,
): string {
  return formatMoney(BigInt(afterMicros) - BigInt(beforeMicros), currency, { signed: true });
}
