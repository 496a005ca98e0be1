import type { DisputeView, FraudWarningView } from '../../server/http/views/wallet-desk.ts';
import { formatDateTime, humanize } from '../format.ts';
import type { Wire } from '../wire.ts';
import { DataTable } from './data-table.tsx';
import { Money } from './money.tsx';
import { TextLink } from './text-link.tsx';

interface TableProps {
  timezone: string;
  /** Where wallets are listed together: each row leads to its own. */
  withWallet?: boolean;
}

const walletColumn = { key: 'wallet', title: 'Wallet' };

/** Disputes, and inquiries, with what the bank took and gave back. */
export function DisputeTable({
  disputes,
  timezone,
  withWallet = false,
}: TableProps & { disputes: Wire<DisputeView>[] }) {
  if (disputes.length === 0) return null;
  return (
    <DataTable
      caption="Disputes"
      columns={[
        { key: 'dispute', title: 'Dispute' },
        { key: 'state', title: 'State' },
        ...(withWallet ? [walletColumn] : []),
        { key: 'amount', title: 'Disputed', numeric: true },
        { key: 'taken', title: 'Taken', numeric: true },
        { key: 'back', title: 'Given back', numeric: true },
      ]}
      rows={disputes.map(({ disputeId, walletId, currency, ...dispute }) => ({
        key: disputeId,
        cells: {
          dispute: <IdAndTime id={disputeId} at={dispute.createdAt} timezone={timezone} />,
          state: (
            <>
              {humanize(dispute.state)}
              <span className="block text-sm text-ink-soft">
                {[dispute.status, dispute.reason, dispute.freezes ? 'freezes the wallet' : null]
                  .filter((words) => words !== null)
                  .map((words) => words.replaceAll('_', ' '))
                  .join(', ')}
              </span>
            </>
          ),
          wallet: <WalletLink walletId={walletId} />,
          amount: <Money micros={dispute.amountMicros} currency={currency} />,
          taken: <Money micros={dispute.withdrawnMicros} currency={currency} />,
          back: <Money micros={dispute.reinstatedMicros} currency={currency} />,
        },
      }))}
    />
  );
}

/** Warnings of fraud, and the payments that they are about. */
export function WarningTable({
  warnings,
  timezone,
  withWallet = false,
}: TableProps & { warnings: Wire<FraudWarningView>[] }) {
  if (warnings.length === 0) return null;
  return (
    <DataTable
      caption="Warnings of fraud"
      columns={[
        { key: 'warning', title: 'Warning of fraud' },
        { key: 'type', title: 'Of what' },
        ...(withWallet ? [walletColumn] : []),
        { key: 'amount', title: 'Payment', numeric: true },
      ]}
      rows={warnings.map(({ warningId, walletId, currency, ...warning }) => ({
        key: warningId,
        cells: {
          warning: <IdAndTime id={warningId} at={warning.createdAt} timezone={timezone} />,
          type: (
            <>
              {humanize(warning.fraudType)}
              <span className="block text-sm text-ink-soft">
                {warning.actionable
                  ? 'A refund would keep a dispute away'
                  : 'A refund would help no more'}
              </span>
            </>
          ),
          wallet: <WalletLink walletId={walletId} />,
          amount: <Money micros={warning.amountMicros} currency={currency} />,
        },
      }))}
    />
  );
}

function IdAndTime({ id, at, timezone }: { id: string; at: string; timezone: string }) {
  return (
    <>
      <span className="wrap-anywhere">{id}</span>
      <span className="block text-sm font-normal text-ink-soft">
        {formatDateTime(at, timezone)}
      </span>
    </>
  );
}

function WalletLink({ walletId }: { walletId: string }) {
  return (
    <TextLink to={`/admin/wallets/${walletId}`}>
      <span className="wrap-anywhere">{walletId}</span>
    </TextLink>
  );
}
