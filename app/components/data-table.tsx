import type { ReactNode } from 'react';

export interface Column {
  key: string;
  title: string;
  /** Figures stand to the right, in digits of equal width. */
  numeric?: boolean;
}

interface DataTableProps {
  /** Names the table for people who cannot see it. */
  caption: string;
  columns: Column[];
  rows: { key: string; cells: Record<string, ReactNode> }[];
}

/** A table that scrolls sideways by itself where the screen is too narrow for it. */
export function DataTable({ caption, columns, rows }: DataTableProps) {
  const [first, ...others] = columns;
  if (first === undefined) return null;
  return (
    <div className="relative -mx-1 overflow-x-auto px-1">
      <table className="w-full border-collapse text-left">
        <caption className="sr-only">{caption}</caption>
        <thead>
          <tr className="border-b border-line text-sm text-ink-soft">
            {columns.map((column) => (
              <th key={column.key} scope="col" className={`py-2 font-medium ${cellClass(column)}`}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {rows.map(({ key, cells }) => (
            <tr key={key}>
              <th scope="row" className={`py-2.5 font-medium ${cellClass(first)}`}>
                {cells[first.key]}
              </th>
              {others.map((column) => (
                <td key={column.key} className={`py-2.5 ${cellClass(column)}`}>
                  {cells[column.key]}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function cellClass({ numeric }: Column): string {
  return numeric
    ? 'pl-3 text-right align-baseline tabular-nums sm:pl-4'
    : 'pr-2 align-baseline last:pr-0 sm:pr-4';
}
