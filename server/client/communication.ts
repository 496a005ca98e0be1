/** The words of `processCommunicationBilling`, and what they mean to the charging API. */
import { randomUUID } from 'node:crypto';
import type { Usage } from '../rating/usage.ts';
import type { CallOptions } from './calls.ts';
import { BillingError } from './errors.ts';
import type { ChargeAnswer, ChargeInput } from './procedures.ts';
import { describeRefusal } from './refusals.ts';

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

const COMMON_FIELDS: readonly (keyof CommunicationDetails)[] = [
  'referenceId',
  'currency',
  'occurredAt',
  'overrun',
];
const EVERY_FIELD: ReadonlySet<string> = new Set([
  ...COMMON_FIELDS,
  ...Object.values(FIELDS).flat(),
]);

/**
 * Turns details into usage; fields that belong to another type of communication are left out, and
 * what is no field at all is refused: a misspelt one would be charged as if it were not there.
 */
function toUsage(
  type: CommunicationType,
  details: CommunicationDetails,
): { ok: true; usage: Usage } | { ok: false; problem: string } {
  if (!Object.hasOwn(FIELDS, type)) {
    return { ok: false, problem: `type: must be one of ${Object.keys(FIELDS).join(', ')}` };
  }
  const unknown = Object.keys(details).find((field) => !EVERY_FIELD.has(field));
  if (unknown !== undefined) {
    return { ok: false, problem: `${unknown}: there is no such field` };
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

type Accepted = Extract<ChargeAnswer, { ok: true }>;
type Refused = Extract<ChargeAnswer, { ok: false }>;

export type CommunicationAnswer<Success = Omit<Accepted, 'ok'>> =
  | ({ success: true; referenceId: string } & Success)
  | {
      success: false;
      referenceId: string;
      /** A refusal's code, or an error's: `BAD_REQUEST`, `UNAUTHORIZED`, `UNREACHABLE`, … */
      code: string;
      /** What is wrong, for people. */
      error: string;
      /** The refusal with its amounts, where the service gave one. */
      refusal?: Refused;
      /** Whether it may have been charged all the same: call again with this `referenceId`. */
      outcomeUnknown?: boolean;
    };

/**
 * Charges one communication by its words. Never throws: a refusal, bad input and an unreachable
 * service are all `success: false`.
 */
export async function billCommunication<Success extends { ok: true }>(
  charge: (input: ChargeInput, options?: CallOptions) => Promise<Success | Refused>,
  request: {
    readonly userId: string;
    readonly type: CommunicationType;
    readonly details: CommunicationDetails;
    readonly options: CallOptions | undefined;
  },
): Promise<CommunicationAnswer<Omit<Success, 'ok'>>> {
  const { userId, type, details, options } = request;
  const referenceId = details.referenceId ?? randomUUID();
  const read = toUsage(type, details);
  if (!read.ok) {
    return { success: false, referenceId, code: 'BAD_REQUEST', error: read.problem };
  }
  const { currency, occurredAt, overrun } = details;
  try {
    const answer = await charge(
      {
        userId,
        referenceId,
        usage: read.usage,
        ...(currency !== undefined && { currency }),
        ...(occurredAt !== undefined && { occurredAt: occurredAt.toISOString() }),
        ...(overrun !== undefined && { overrun }),
      },
      options,
    );
    if (answer.ok) {
      const { ok, ...accepted } = answer;
      return { success: true, referenceId, ...accepted };
    }
    const { code } = answer;
    return { success: false, referenceId, code, error: describeRefusal(answer), refusal: answer };
  } catch (error) {
    if (!(error instanceof BillingError)) {
      throw error;
    }
    const { code, message, outcomeUnknown } = error;
    return {
      success: false,
      referenceId,
      code,
      error: message,
      ...(outcomeUnknown && { outcomeUnknown }),
    };
  }
}
