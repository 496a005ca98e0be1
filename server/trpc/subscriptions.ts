/** Recurring fees: plans and rented numbers. */
import { z } from 'zod';
import { positiveMicrosSchema } from '../ledger/money.ts';
import { maxFeeMicros } from '../ledger/subscriptions.ts';
import { router, scoped } from './context.ts';
import {
  instantSchema,
  namesOneWallet,
  noteSchema,
  referenceSchema,
  walletFields,
  walletName,
  wire,
} from './inputs.ts';

const addInput = z
  .strictObject({
    ...walletFields,
    key: referenceSchema,
    kind: z.enum(['plan', 'number'], { error: 'must be plan or number' }),
    description: noteSchema,
    monthlyMicros: positiveMicrosSchema.refine((micros) => micros <= maxFeeMicros, {
      error: `must be at most ${maxFeeMicros}`,
    }),
    startsAt: instantSchema.optional(),
    endsAt: instantSchema.optional(),
  })
  .superRefine(namesOneWallet)
  .refine(({ startsAt, endsAt }) => !startsAt || !endsAt || endsAt >= startsAt, {
    path: ['endsAt'],
    error: 'must not be before startsAt',
  });

export const subscriptionsRouter = router({
  /** Adds a fee for each month, or for the part of it in which the subscription runs. */
  add: scoped('subscriptions:write')
    .input(addInput)
    .mutation(async ({ ctx, input }) => {
      const { walletId, userId, currency, ...request } = input;
      const wallet = walletName({ walletId, userId, currency });
      return wire(await ctx.services.subscriptions.add({ wallet, ...request }, ctx.actor));
    }),

  /** Ends it, by default now; the same end again changes nothing. */
  end: scoped('subscriptions:write')
    .input(
      z
        .strictObject({
          ...walletFields,
          subscriptionId: z.uuid('must be a UUID'),
          endsAt: instantSchema.optional(),
        })
        .superRefine(namesOneWallet),
    )
    .mutation(async ({ ctx, input }) => {
      const { subscriptionId, endsAt } = input;
      const request = { wallet: walletName(input), subscriptionId, endsAt };
      return wire(await ctx.services.subscriptions.end(request, ctx.actor));
    }),

  /** Also those that have ended. */
  list: scoped('wallets:read')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) =>
      wire(await ctx.services.subscriptions.list(walletName(input))),
    ),
});
