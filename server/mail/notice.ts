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
    availableMicros: microsSchema,
    /** Those that were passed, lowest first. */
    thresholdsMicros: z.array(microsSchema).min(1),
  }),
]);

export type Notice = z.infer<typeof noticeSchema>;

/** Reads a row of the outbox; null for a kind that is not known here, or that lacks something. */
export function parseNotice(kind: string, payload: unknown): Notice | null {
  const parsed = noticeSchema.safeParse({ ...z.looseObject({}).catch({}).parse(payload), kind });
  return parsed.success ? parsed.data : null;
}
