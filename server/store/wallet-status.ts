/** Freezing, unfreezing and closing wallets. */
import type { WalletStatus } from '../ledger/state.ts';
import { type LedgerOutcome, outcomeColumns } from './charges.ts';
import { only, type Sql } from './sql.ts';

export type StatusLedgerOutcome = Omit<LedgerOutcome, 'code'> & {
  /** With WALLET_NOT_EMPTY the detail says how many holds are open. */
  code: 'OK' | 'WALLET_NOT_FOUND' | 'WALLET_CLOSED' | 'WALLET_NOT_EMPTY';
};

/** Gives a wallet a status; `replayed` when it had it already. */
export async function changeWalletStatus(
  sql: Sql,
  change: {
    walletId: string;
    status: WalletStatus;
    actor: string;
    detail: Record<string, unknown>;
  },
): Promise<StatusLedgerOutcome> {
  const [outcome] = await sql<StatusLedgerOutcome[]>`
    select ${outcomeColumns(sql)} from change_wallet_status(
      ${change.walletId}, ${change.status}, ${change.actor},
      ${JSON.stringify(change.detail)}::text::json)`;
  return only(outcome);
}
