/** The input of `wallets.setLimits`. */
import { z } from 'zod';
import { maxAmountMicros } from '../ledger/decision.ts';
import { hasDuplicates, maxLimits, type SpendingLimit } from '../ledger/limit-list.ts';
import { microsSchema } from '../ledger/money.ts';
import { windowPeriods } from '../ledger/window.ts';
import { usageTypeSchema, usageTypesWithDestination } from '../rating/usage.ts';
import { namesOneWallet, walletFields } from './inputs.ts';

const limitSchema = z
  .strictObject({
    period: z.enum(windowPeriods, { error: `must be one of ${windowPeriods.join(', ')}` }),
    amountMicros: microsSchema.refine((micros) => micros >= 0n && micros <= maxAmountMicros, {
      error: `must be from 0 to ${maxAmountMicros}`,
    }),
    type: usageTypeSchema.optional(),
    prefix: z
      .string()
      .regex(/^\d{1,15}$/, 'must be the first 1 to 15 digits of a number, without +')
      .optional(),
  })
  .refine(
    ({ type, prefix }) =>
      type === undefined || prefix === undefined || usageTypesWithDestination.includes(type),
    { path: ['prefix'], error: 'goes with usage that has a destination' },
  )
  .transform(
    ({ type = null, prefix = null, ...limit }): SpendingLimit => ({ ...limit, type, prefix }),
  );

export const setLimitsInput = z
  .strictObject({
    ...walletFields,
    limits: z
      .array(limitSchema)
      .max(maxLimits, `must be at most ${maxLimits}`)
      .refine((limits) => !hasDuplicates(limits), {
        error: 'must not have two for the same period, type and prefix',
      }),
  })
  .superRefine(namesOneWallet);
