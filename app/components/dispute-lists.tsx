import type { ReactNode } from 'react';
import type { DisputeView, FraudWarningView } from '../../server/views/wallet-desk.ts';
import { formatDateTime, formatMoney, humanize } from '../format.ts';
import type { Wire } from '../wire.ts';
import { TextLink } from './text-link.tsx';

interface ListProps {
  timezone: string;
  /** Where wallets are listed together: each row leads to its own. */
  withWallet?: boolean;
}

/** Disputes, and inquiries, with what the bank took and gave back. */
export function DisputeList({ disputes, ...list }: ListProps & { disputes: Wire<DisputeView>[] }) {
  return (
    <Rows label="Disputes">
      {disputes.map((dispute) => {
        const { disputeId, currency, state, withdrawnMicros, reinstatedMicros } = dispute;
        const money = (micros: string) => formatMoney(micros, currency);
        return (
          <Row
            key={disputeId}
            title={`${titles[state]}: ${money(dispute.amountMicros)}`}
            told={dispute}
            id={disputeId}
            {...list}
          >
            {[
              `Taken ${money(withdrawnMicros)}, given back ${money(reinstatedMicros)}`,
              dispute.freezes ? 'keeps the wallet frozen' : null,
              `at Stripe ${[dispute.status, dispute.reason].filter(Boolean).join(', ')}`,
            ]
              .filter((words) => words !== null)
              .join(' · ')
              .replaceAll('_', ' ')}
          </Row>
        );
      })}
    </Rows>
  );
}

const titles: Record<DisputeView['state'], string> = {
  inquiry: 'Inquiry',
  inquiry_closed: 'Inquiry that ended',
  open: 'Dispute',
  lost: 'Dispute that was lost',
  won: 'Dispute that was won',
};

/** Warnings of fraud, and the payments that they are about. */
export function WarningList({
  warnings,
  ...list
}: ListProps & { warnings: Wire<FraudWarningView>[] }) {
  return (
    <Rows label="Warnings of fraud">
      {warnings.map((warning) => (
        <Row
          key={warning.warningId}
          title={`Warning of fraud: ${formatMoney(warning.amountMicros, warning.currency)}`}
          told={warning}
          id={warning.warningId}
          {...list}
        >
          {humanize(warning.fraudType)} ·{' '}
          {warning.actionable
            ? 'a refund would still keep a dispute away'
            : 'a refund would help no more'}
        </Row>
      ))}
    </Rows>
  );
}

function Rows({ label, children }: { label: string; children: ReactNode[] }) {
  if (children.length === 0) return null;
  return (
    <ul aria-label={label} className="divide-y divide-line">
      {children}
    </ul>
  );
}

interface RowProps extends ListProps {
  title: string;
  told: { walletId: string; topUpId: string; createdAt: string };
  id: string;
  children: ReactNode;
}

function Row({ title, told, id, timezone, withWallet = false, children }: RowProps) {
  return (
    <li className="py-3 first:pt-0 last:pb-0">
      <p className="flex flex-wrap justify-between gap-x-4">
        <span className="font-medium">{title}</span>
        <span>{formatDateTime(told.createdAt, timezone)}</span>
      </p>
      <p className="text-sm text-ink-soft">{children}</p>
      <p className="text-sm wrap-anywhere text-ink-soft">
        {id} · top-up {told.topUpId}
      </p>
      {withWallet && (
        <p className="text-sm wrap-anywhere">
          <TextLink to={`/admin/wallets/${told.walletId}`}>Wallet {told.walletId}</TextLink>
        </p>
      )}
    </li>
  );
}
