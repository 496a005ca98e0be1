import { z } from 'zod';
import type { ChargeRequest } from '../billing/charging.ts';
import { usageSchema } from '../rating/usage.ts';
import { router, scoped } from './context.ts';
import {
  instantSchema,
  namesOneWallet,
  referenceSchema,
  walletFields,
  walletName,
  wire,
} from './inputs.ts';

export const MAX_BATCH = 1_000;

const chargeInput = z
  .strictObject({
    ...walletFields,
    usage: usageSchema,
    referenceId: referenceSchema,
    occurredAt: instantSchema.optional(),
    overrun: z.enum(['refuse', 'arrears']).default('refuse'),
  })
  .superRefine(namesOneWallet)
  .transform(
    (input): ChargeRequest => ({
      wallet: walletName(input),
      usage: input.usage,
      referenceId: input.referenceId,
      occurredAt: input.occurredAt,
      overrun: input.overrun,
    }),
  );

export const usageRouter = router({
  /** What usage would cost now; nothing is written. */
  quote: scoped('usage:quote')
    .input(z.strictObject({ ...walletFields, usage: usageSchema }).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) =>
      wire(await ctx.services.charging.quote(walletName(input), input.usage)),
    ),

  /** Charges usage once per usage type and `referenceId`. */
  charge: scoped('usage:charge')
    .input(chargeInput)
    .mutation(async ({ ctx, input }) => wire(await ctx.services.charging.charge(input, ctx.actor))),

  /** Charges up to 1,000 items, each with its own answer, in order. */
  chargeBatch: scoped('usage:charge')
    .input(z.strictObject({ items: z.array(chargeInput).min(1).max(MAX_BATCH) }))
    .mutation(async ({ ctx, input }) =>
      wire(await ctx.services.charging.chargeBatch(input.items, ctx.actor)),
    ),
});
