/** What is refused, in the words of the API. */
import { Fault } from '../../faults.ts';
import type { QueuedOutcome } from '../../store/charges.ts';
import { currencyRequired } from '../wallets/wallet-by-name.ts';
import { type BilledHold, billedHold } from './held-usage.ts';
import { type LimitRefusal, limitRefusal } from './spending-limits.ts';

/** An expected refusal. Amounts are there where they help: what was asked, what there is. */
export type Refusal =
  | { ok: false; code: 'WALLET_NOT_FOUND' }
  /** `hold`, if any, bills the usage of the refused charge, by other figures. */
  | { ok: false; code: 'KEY_REUSED'; seq: bigint; hold?: BilledHold }
  | { ok: false; code: 'WALLET_FROZEN' | 'WALLET_CLOSED' }
  | LimitRefusal
  | { ok: false; code: 'NO_RATE'; message: string }
  | {
      ok: false;
      code: 'INSUFFICIENT_FUNDS';
      currency: string;
      requiredMicros: bigint;
      availableMicros: bigint;
      shortfallMicros: bigint;
    };

/** A refused write in the words of the API. */
export function refusal(outcome: QueuedOutcome, currency: string, noRateDetail: string): Refusal {
  switch (outcome.code) {
    case 'INSUFFICIENT_FUNDS': {
      const { amountMicros, availableMicros } = outcome;
      const fundsMicros = availableMicros > 0n ? availableMicros : 0n;
      return {
        ok: false,
        code: 'INSUFFICIENT_FUNDS',
        currency,
        requiredMicros: amountMicros,
        availableMicros,
        shortfallMicros: amountMicros - fundsMicros,
      };
    }
    case 'KEY_REUSED':
      return { ok: false, code: 'KEY_REUSED', seq: outcome.seq, ...billedHold(outcome) };
    case 'LIMIT_EXCEEDED':
      return limitRefusal(outcome.detail, currency);
    case 'NO_RATE':
      return { ok: false, code: 'NO_RATE', message: noRateDetail };
    case 'WALLET_NOT_FOUND':
    case 'WALLET_FROZEN':
    case 'WALLET_CLOSED':
      return { ok: false, code: outcome.code };
    case 'CURRENCY_REQUIRED':
      throw currencyRequired();
    case 'KEY_REVOKED':
      throw new Fault('UNAUTHORIZED');
    case 'OK':
    case 'UNITS_MOVED':
      throw new TypeError('what is accepted or priced anew is not a refusal');
    default: {
      const unknown: never = outcome.code;
      throw new TypeError(`unknown outcome ${unknown}`);
    }
  }
}
