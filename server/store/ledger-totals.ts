import type { Sql } from './sql.ts';

/** How large the ledger is, and what it owes its users in each currency. */
export async function ledgerTotals(sql: Sql): Promise<{
  wallets: number;
  events: bigint;
  totals: { currency: string; balanceMicros: bigint }[];
}> {
  const totals = await sql<
    { currency: string; balanceMicros: bigint; wallets: number; events: bigint }[]
  >`
    select currency, sum(balance_micros)::bigint as "balanceMicros", count(*)::int as wallets,
      -- A wallet's newest seq is its number of events.
      sum(seq)::bigint as events
    from wallets group by currency order by currency`;
  return {
    wallets: totals.reduce((sum, row) => sum + row.wallets, 0),
    events: totals.reduce((sum, row) => sum + row.events, 0n),
    totals: totals.map(({ currency, balanceMicros }) => ({ currency, balanceMicros })),
  };
}
