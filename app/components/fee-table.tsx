import { formatDate, formatLastDate, formatPeriod } from '../format.ts';
import { DataTable } from './data-table.tsx';
import { Money } from './money.tsx';

export interface FeeRow {
  description: string;
  period: string;
  from: string;
  to: string;
  amountMicros: string;
}

interface FeeTableProps {
  fees: FeeRow[];
  currency: string;
  timezone: string;
}

/** Recurring fees by name, each with the days that it is for. */
export function FeeTable({ fees, currency, timezone }: FeeTableProps) {
  return (
    <DataTable
      caption="Fees"
      columns={[
        { key: 'description', title: 'Fee' },
        { key: 'amount', title: 'Cost', numeric: true },
      ]}
      rows={fees.map(({ description, period, from, to, amountMicros }) => ({
        key: `${period} ${from} ${description}`,
        cells: {
          description: (
            <>
              {description}
              <span className="block text-sm text-ink-soft">
                {formatPeriod(period)}, {formatDate(from, timezone)} to{' '}
                {formatLastDate(to, timezone)}
              </span>
            </>
          ),
          amount: <Money micros={amountMicros} currency={currency} />,
        },
      }))}
    />
  );
}
