/** The words of `processCommunicationBilling`, and what they mean to the charging API. */
import { formatMicros } from '../ledger/money.ts';
import type { Usage } from '../rating/usage.ts';

export type CommunicationType = 'call' | 'sms' | 'email' | 'fax' | 'file_transfer';

export interface CommunicationDetails {
  /** Calls: minutes talked, to the nearest second; fractions allowed. */
  duration?: number;
  answered?: boolean;
  /** SMS: segments sent, or the text to count them from. */
  segments?: number;
  body?: string;
  recipients?: number;
  pages?: number;
  transfers?: number;
  bytes?: number;
  to?: string;
  from?: string;
  /** Your own id of this communication; the same id is charged once. */
  referenceId?: string;
  currency?: string;
  occurredAt?: Date;
  /** `arrears` charges what was delivered already, beyond what the wallet has. */
  overrun?: 'refuse' | 'arrears';
}

const FIELDS: Readonly<Record<CommunicationType, readonly (keyof CommunicationDetails)[]>> = {
  call: ['duration', 'answered', 'to', 'from'],
  sms: ['segments', 'body', 'to'],
  email: ['recipients'],
  fax: ['pages', 'to'],
  file_transfer: ['transfers', 'bytes'],
};

/** Turns details into usage; fields that belong to another type of communication are left out. */
export function toUsage(
  type: CommunicationType,
  details: CommunicationDetails,
): { ok: true; usage: Usage } | { ok: false; problem: string } {
  if (!Object.hasOwn(FIELDS, type)) {
    return { ok: false, problem: `type: must be one of ${Object.keys(FIELDS).join(', ')}` };
  }
  const { occurredAt } = details;
  if (
    occurredAt !== undefined &&
    !(occurredAt instanceof Date && Number.isFinite(occurredAt.getTime()))
  ) {
    return { ok: false, problem: 'occurredAt: must be a valid Date' };
  }
  const given = Object.fromEntries(
    FIELDS[type]
      .map((field) => [field, details[field]] as const)
      .filter(([, value]) => value !== undefined),
  );
  if (type !== 'call') {
    return { ok: true, usage: { type, ...given } as Usage };
  }
  const { duration: minutes, ...rest } = given;
  if (typeof minutes !== 'number' || !Number.isFinite(minutes) || minutes < 0) {
    return { ok: false, problem: 'duration: must be a number of minutes, 0 or more' };
  }
  return {
    ok: true,
    usage: { type, durationSeconds: Math.round(minutes * 60), ...rest } as Usage,
  };
}

type RefusalOnWire =
  | {
      code: 'INSUFFICIENT_FUNDS';
      currency: string;
      requiredMicros: string;
      availableMicros: string;
      shortfallMicros: string;
    }
  | { code: 'NO_RATE'; message: string }
  | {
      code:
        | 'KEY_REUSED'
        | 'WALLET_NOT_FOUND'
        | 'WALLET_FROZEN'
        | 'WALLET_CLOSED'
        | 'LIMIT_EXCEEDED';
    };

/** A refusal in a sentence. */
export function describeRefusal(refusal: RefusalOnWire): string {
  switch (refusal.code) {
    case 'INSUFFICIENT_FUNDS': {
      const money = (micros: string) => `${formatMicros(BigInt(micros), 2)} ${refusal.currency}`;
      return (
        `Insufficient funds: ${money(refusal.requiredMicros)} needed, ` +
        `${money(refusal.availableMicros)} available, ${money(refusal.shortfallMicros)} missing.`
      );
    }
    case 'NO_RATE':
      return `No price: ${refusal.message}.`;
    case 'KEY_REUSED':
      return 'This referenceId was charged before, for something else.';
    case 'WALLET_NOT_FOUND':
      return 'This user has no wallet.';
    case 'WALLET_FROZEN':
      return 'The wallet is frozen.';
    case 'WALLET_CLOSED':
      return 'The wallet is closed.';
    case 'LIMIT_EXCEEDED':
      return 'The amount is above what a wallet can hold.';
    default: {
      const unknown: never = refusal;
      throw new TypeError(`unknown refusal ${JSON.stringify(unknown)}`);
    }
  }
}
