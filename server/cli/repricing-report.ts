/** What repricing came to, in lines for a terminal. */

import { formatMicros } from '../ledger/money.ts';
import type { CustomerChange, ReratingProgress, Totals } from '../views/repricing.ts';

/** A customer's line: before, after, and the difference. */
export function changeLine(change: CustomerChange, currency: string): string {
  const { userId, walletId, usages, withoutRate } = change;
  const without = withoutRate === 0 ? '' : `  ${withoutRate} without a rate`;
  return `${userId}  ${walletId}  ${usages} usages  ${amounts(change, currency)}${without}\n`;
}

export function totalsLines(totals: Totals, currency: string): string {
  const { customers, changed, usages, withoutRate, withoutRateMicros, gainers, losers } = totals;
  const lines = [
    `${usages} usages of ${customers} customers, of whom ${changed} pay another amount\n`,
    `${amounts(totals, currency)}\n`,
  ];
  if (withoutRate > 0) {
    const billed = `${formatMicros(withoutRateMicros, 0)} ${currency}`;
    lines.push(`${withoutRate} usages, billed ${billed}, have no rate and are left out\n`);
  }
  for (const [title, changes] of [
    ['who gain most', gainers],
    ['who lose most', losers],
  ] as const) {
    if (changes.length > 0) {
      lines.push(`\n${title}\n`, ...changes.map((change) => changeLine(change, currency)));
    }
  }
  return lines.join('');
}

export function progressLines(progress: ReratingProgress, currency: string): string {
  const { usages, credits, creditedMicros, debits, debitedMicros, withoutRate, refused } = progress;
  const lines = [
    `${usages} usages, ${withoutRate} of them without a rate`,
    `given back  ${formatMicros(creditedMicros, 0)} ${currency} for ${credits}`,
    `charged     ${formatMicros(debitedMicros, 0)} ${currency} for ${debits}`,
    ...Object.entries(refused).map(([code, count]) => `not posted  ${count}: ${code}`),
  ];
  return `${lines.join('\n')}\n`;
}

function amounts(
  { beforeMicros, afterMicros }: Pick<Totals, 'beforeMicros' | 'afterMicros'>,
  currency: string,
): string {
  const differenceMicros = afterMicros - beforeMicros;
  const sign = differenceMicros > 0n ? '+' : '';
  const [before, after, difference] = [beforeMicros, afterMicros, differenceMicros].map((micros) =>
    formatMicros(micros, 0),
  );
  return `${before} → ${after} ${currency}  (${sign}${difference})`;
}
