import type { ReactNode } from 'react';

interface DefinitionListProps {
  items: { label: string; value: ReactNode; hint?: string }[];
}

/** Names and their values, one pair a line. */
export function DefinitionList({ items }: DefinitionListProps) {
  return (
    <dl className="divide-y divide-line">
      {items.map(({ label, value, hint }) => (
        <div key={label} className="flex justify-between gap-6 py-2.5">
          <dt className="min-w-0 text-ink-soft">
            {label}
            {hint && <span className="block text-sm">{hint}</span>}
          </dt>
          <dd className="max-w-2/3 shrink-0 text-right font-medium wrap-anywhere tabular-nums">
            {value}
          </dd>
        </div>
      ))}
    </dl>
  );
}
