/** What wallets have used this month, for prices that depend on it. */
import type { UnitsThisMonth } from '../rating/price-list.ts';
import { only, type Sql } from './sql.ts';

/** Every counter of a wallet that has counted anything in its calendar month. */
export async function unitsThisMonth(sql: Sql, walletId: string): Promise<UnitsThisMonth> {
  const [row] = await sql<{ units: UnitsThisMonth }[]>`
    select units_this_month(w) as units from wallets w where w.id = ${walletId}`;
  return only(row).units;
}
