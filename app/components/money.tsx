import { formatMoney, type MoneyFormat } from '../format.ts';

interface MoneyProps extends MoneyFormat {
  micros: string;
  currency: string;
}

/** An exact amount, in figures of equal width. */
export function Money({ micros, currency, ...format }: MoneyProps) {
  return (
    <span className="whitespace-nowrap tabular-nums">{formatMoney(micros, currency, format)}</span>
  );
}
