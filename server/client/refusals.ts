/** Refusals in sentences for people. */
import { formatMicros } from '../ledger/money.ts';
import type {
  AuthorizeAnswer,
  CaptureAnswer,
  ChargeAnswer,
  ExtendAnswer,
  GrantAnswer,
  RefundAnswer,
  RefundTopUpsAnswer,
  SetLimitsAnswer,
  StatusAnswer,
  VoidAnswer,
} from './procedures.ts';

/** Every refusal of a write; those of one procedure are in its answer. */
export type Refusal = Extract<
  | ChargeAnswer
  | RefundAnswer
  | RefundTopUpsAnswer
  | AuthorizeAnswer
  | ExtendAnswer
  | CaptureAnswer
  | VoidAnswer
  | SetLimitsAnswer
  | StatusAnswer
  | GrantAnswer,
  { ok: false }
>;

/** A refusal in a sentence. */
export function describeRefusal(refusal: Refusal): string {
  switch (refusal.code) {
    case 'INSUFFICIENT_FUNDS': {
      const money = (micros: string) => amountText(micros, refusal.currency);
      return (
        `Insufficient funds: ${money(refusal.requiredMicros)} needed, ` +
        `${money(refusal.availableMicros)} available, ${money(refusal.shortfallMicros)} missing.`
      );
    }
    case 'NO_RATE':
      return `No price: ${refusal.message}.`;
    case 'KEY_REUSED':
      return isBilledByHold(refusal)
        ? describeBilled(refusal)
        : 'This key was used before, for something else.';
    case 'WALLET_NOT_FOUND':
      return 'This user has no wallet.';
    case 'WALLET_FROZEN':
      return 'The wallet is frozen.';
    case 'WALLET_CLOSED':
      return 'The wallet is closed.';
    case 'LIMIT_EXCEEDED':
      return isByLimit(refusal)
        ? describeLimit(refusal)
        : 'The amount is above what a wallet can hold.';
    case 'WALLET_NOT_EMPTY':
      return 'The wallet still holds money, arrears or open holds.';
    case 'NOT_REFUNDABLE':
      return `Not refundable: at most ${refusal.refundableMicros} micros are.`;
    case 'HOLD_NOT_FOUND':
      return 'There is no such hold.';
    case 'HOLD_NOT_OPEN':
      return 'The hold is no longer open.';
    default: {
      // Also what a later version of the service refuses by must not stop a spool.
      const unknown: never = refusal;
      return `Refused: ${(unknown as { code: string }).code}.`;
    }
  }
}

/** A charge of what a hold has billed with other figures. */
type BilledByHold = Required<Extract<ChargeAnswer, { code: 'KEY_REUSED' }>>;

function isBilledByHold(refusal: Refusal): refusal is BilledByHold {
  return 'hold' in refusal && refusal.hold !== undefined;
}

function describeBilled({ hold }: BilledByHold): string {
  const { holdId, units, alreadyBilledMicros } = hold;
  return (
    `This usage was authorized and is billed already, with other figures: ${units} units for ` +
    `${alreadyBilledMicros} micros (hold ${holdId}).`
  );
}

/** By a spending limit, not because no wallet can hold so much. */
type LimitReached = Extract<Refusal, { code: 'LIMIT_EXCEEDED'; limit: object }>;

function isByLimit(refusal: Refusal): refusal is LimitReached {
  return 'limit' in refusal && refusal.limit !== undefined;
}

function describeLimit({ limit, currency, limitMicros, leftMicros, resetsAt }: LimitReached) {
  return (
    `Spending limit of the ${limit.period}: ${amountText(leftMicros, currency)} of ` +
    `${amountText(limitMicros, currency)} left until ${resetsAt}.`
  );
}

/** With the currency's decimals, which a refusal does not tell: `4.50 USD`, `450 JPY`. */
function amountText(micros: string, currency: string): string {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return `${formatMicros(BigInt(micros), format.resolvedOptions().minimumFractionDigits ?? 2)} ${currency}`;
}
