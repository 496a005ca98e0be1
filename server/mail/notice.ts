/** What somebody can be told of by mail, as the outbox keeps it. */
import { z } from 'zod';
import { microsSchema } from '../ledger/money.ts';

const common = {
  /** When it happened. */
  at: z.coerce.date(),
  currency: z.string(),
  /** Decimals of the currency's minor unit. */
  exponent: z.number(),
  /** The wallet's, in which times are written. */
  timezone: z.string(),
};

const noticeSchema = z.discriminatedUnion('kind', [
  z.object({
    ...common,
    kind: z.literal('receipt'),
    amountMicros: microsSchema,
    topUpId: z.string(),
  }),
  z.object({
    ...common,
    kind: z.literal('payment_failed'),
    amountMicros: microsSchema,
    topUpId: z.string(),
    /** Stripe's words for people. */
    reason: z.string().optional(),
  }),
  z.object({
    ...common,
    kind: z.literal('low_balance'),
    /** Older mails do not name it. */
    walletId: z.string().optional(),
    /** Of the link that stops these mails. Signed when the mail is sent. */
    unsubscribeToken: z.string().optional(),
    availableMicros: microsSchema,
    /** Those that were passed, lowest first. */
    thresholdsMicros: z.array(microsSchema).min(1),
  }),
  z.object({
    ...common,
    kind: z.literal('statement'),
    number: z.string(),
    /** A calendar month, `YYYY-MM`. */
    period: z.string().regex(/^\d{4}-\d\d$/),
    usageMicros: microsSchema,
    closingBalanceMicros: microsSchema,
    headHash: z.string(),
  }),
  z.object({
    ...common,
    kind: z.literal('payment_to_confirm'),
    amountMicros: microsSchema,
    topUpId: z.string(),
    /** Numbers the links of the payment: the newest works, once. */
    no: z.number(),
    expiresAt: z.coerce.date(),
    /** Of the link. Signed when the mail is sent: the outbox holds no secret. */
    token: z.string().optional(),
  }),
  z.object({
    ...common,
    kind: z.literal('auto_top_up_failed'),
    amountMicros: microsSchema,
    /** Stripe's words for people. */
    reason: z.string().optional(),
  }),
  z.object({
    ...common,
    kind: z.literal('auto_top_up_paused'),
    reason: z.string(),
    /** Where a burst of usage went, and how many charges that were. */
    prefix: z.string().optional(),
    charges: z.number().optional(),
  }),
  z.object({
    ...common,
    kind: z.literal('auto_top_up_cap_reached'),
    monthlyCapMicros: microsSchema,
  }),
  z.object({
    ...common,
    kind: z.enum(['refund_done', 'refund_failed']),
    amountMicros: microsSchema,
    topUpId: z.string(),
  }),
  z.object({
    ...common,
    kind: z.literal('dispute_opened'),
    amountMicros: microsSchema,
    topUpId: z.string(),
    /** Nothing can be spent until it is decided. */
    freezes: z.boolean(),
  }),
  z.object({
    ...common,
    kind: z.literal('dispute_closed'),
    amountMicros: microsSchema,
    topUpId: z.string(),
    /** As the bank decided: `won` is for the payment. */
    outcome: z.enum(['won', 'lost']),
  }),
  z.object({
    ...common,
    kind: z.enum(['arrears_due', 'arrears_reminder', 'wallet_suspended', 'wallet_resumed']),
    /** What is owed. */
    arrearsMicros: microsSchema,
    /** When usage stops unless it is paid. */
    suspendAt: z.coerce.date(),
  }),
]);

export type Notice = z.infer<typeof noticeSchema>;

/** Reads a row of the outbox; null for a kind that is not known here, or that lacks something. */
export function parseNotice(kind: string, payload: unknown): Notice | null {
  const parsed = noticeSchema.safeParse({ ...z.looseObject({}).catch({}).parse(payload), kind });
  return parsed.success ? parsed.data : null;
}
