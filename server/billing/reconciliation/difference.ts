/** What every comparison with Stripe shares: amounts, when to wait, and how a difference is told. */
import { formatMicros, microsFromMinor } from '../../ledger/money.ts';
import type { Difference, LedgerPayment } from '../../store/reconciliation.ts';
import { CURRENCY_EXPONENTS } from '../wallets/currencies.ts';

/** Webhooks and the sweep are given this long before what they have not brought is a difference. */
const SETTLING_MS = 15 * 60_000;

/** Whether what happened, or was changed, at an instant may yet settle by itself. */
export function isSettling(at: Date, now: Date): boolean {
  return now.getTime() - at.getTime() < SETTLING_MS;
}

/** A top-up, or what takes back from one. */
type Kept = Pick<LedgerPayment, 'walletId' | 'topUpId' | 'createdAt'>;

/** Whose money a difference is about; nulls when the ledger knows nobody. */
export function placeOf(kept: Kept | null | undefined): Pick<Difference, 'walletId' | 'topUpId'> {
  return { walletId: kept?.walletId ?? null, topUpId: kept?.topUpId ?? null };
}

/** The difference of what the ledger has and Stripe does not know. */
export function unknownAtStripe(
  objectId: string,
  kept: Kept,
  inLedger: Difference['inLedger'],
): Difference {
  const { createdAt: happenedAt } = kept;
  const problem = 'unknown_at_stripe';
  return { objectId, problem, happenedAt, ...placeOf(kept), atStripe: null, inLedger };
}

/** An amount of Stripe's in micros; null in a currency that the ledger does not have. */
export function microsOfMinor(minor: bigint, currency: string): bigint | null {
  const exponent = CURRENCY_EXPONENTS[currency];
  return exponent === undefined ? null : microsFromMinor(minor, exponent);
}

/** An amount as a difference shows it; null where there is none. */
export function amountText(micros: bigint | null, currency: string): string | null {
  const exponent = CURRENCY_EXPONENTS[currency];
  return micros === null || exponent === undefined
    ? null
    : `${formatMicros(micros, exponent)} ${currency}`;
}
