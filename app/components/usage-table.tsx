import { absoluteMicros, formatQuantity } from '../format.ts';
import { formatUnits, usageTypeName } from '../usage-names.ts';
import { DataTable } from './data-table.tsx';
import { Money } from './money.tsx';

export interface UsageLine {
  type: string;
  count: number;
  units: number;
  amountMicros: string;
}

interface UsageTableProps {
  caption: string;
  lines: UsageLine[];
  currency: string;
}

/** What was used, by type: how often, how much, and what it cost. */
export function UsageTable({ caption, lines, currency }: UsageTableProps) {
  return (
    <DataTable
      caption={caption}
      columns={[
        { key: 'type', title: 'Type' },
        { key: 'units', title: 'Used', numeric: true },
        { key: 'amount', title: 'Cost', numeric: true },
      ]}
      rows={lines.map(({ type, count, units, amountMicros }) => ({
        key: type,
        cells: {
          type: usageTypeName(type),
          units: (
            <>
              <span className="whitespace-nowrap">{formatUnits(type, units)}</span>
              <span className="block text-sm text-ink-soft">{formatQuantity(count, 'time')}</span>
            </>
          ),
          amount: <Money micros={absoluteMicros(amountMicros)} currency={currency} />,
        },
      }))}
    />
  );
}
