import { z } from 'zod';
import { type AuthorizeRequest, DEFAULT_TTL_SECONDS } from '../billing/holds.ts';
import { maxTtlSeconds, minTtlSeconds } from '../ledger/hold.ts';
import { positiveMicrosSchema } from '../ledger/money.ts';
import { isParty, usageSchema, usageTypeSchema } from '../rating/usage.ts';
import { router, scoped } from './context.ts';
import {
  namesOneWallet,
  namesWalletAtMostOnce,
  optionalWalletName,
  referenceSchema,
  walletFields,
  walletName,
  wire,
} from './inputs.ts';

const ttlSchema = z.int().min(minTtlSeconds).max(maxTtlSeconds);

const authorizeInput = z
  .strictObject({
    ...walletFields,
    key: referenceSchema,
    usage: usageSchema.optional(),
    amountMicros: positiveMicrosSchema.optional(),
    type: usageTypeSchema.optional(),
    to: z
      .string()
      .refine(isParty, 'must be 1 to 64 characters without control characters')
      .optional(),
    ttlSeconds: ttlSchema.default(DEFAULT_TTL_SECONDS),
  })
  .superRefine(namesOneWallet)
  .transform((input, context): AuthorizeRequest => {
    const { usage, amountMicros, type, to, key, ttlSeconds } = input;
    const request = { wallet: walletName(input), key, ttlSeconds };
    const refuse = (path: string, message: string) => {
      context.issues.push({ code: 'custom', path: [path], message, input: undefined });
      return z.NEVER;
    };
    if (usage !== undefined) {
      return amountMicros === undefined && type === undefined && to === undefined
        ? { ...request, estimate: { usage } }
        : refuse('usage', 'goes without amountMicros, type and to');
    }
    if (amountMicros === undefined) {
      return refuse('usage', 'or amountMicros is required');
    }
    return to === undefined || type !== undefined
      ? { ...request, estimate: { amountMicros, type, to } }
      : refuse('to', 'goes with type only');
  });

/** A hold's id names its wallet too; a wallet that is named beside it must be its own. */
const holdFields = { ...walletFields, holdId: z.uuid('must be a UUID') };

const extendInput = z
  .strictObject({
    ...holdFields,
    usageSoFar: usageSchema.optional(),
    addMicros: positiveMicrosSchema.optional(),
    ttlSeconds: ttlSchema.optional(),
  })
  .superRefine(namesWalletAtMostOnce);

const captureInput = z
  .strictObject({
    ...holdFields,
    usage: usageSchema.optional(),
    overrun: z.enum(['refuse', 'arrears']).default('refuse'),
  })
  .superRefine(namesWalletAtMostOnce);

export const holdsRouter = router({
  /** Reserves money for usage that is about to begin, and says how much of it is affordable. */
  authorize: scoped('holds:write')
    .input(authorizeInput)
    .mutation(async ({ ctx, input }) => wire(await ctx.services.holds.authorize(input, ctx.actor))),

  /** The heartbeat of running usage. */
  extend: scoped('holds:write')
    .input(extendInput)
    .mutation(async ({ ctx, input }) => {
      const { holdId, usageSoFar, addMicros, ttlSeconds } = input;
      const request = { wallet: optionalWalletName(input), holdId };
      return wire(
        await ctx.services.holds.extend(
          { ...request, usageSoFar, addMicros, ttlSeconds },
          ctx.actor,
        ),
      );
    }),

  /** Posts the final usage and releases the rest. */
  capture: scoped('holds:write')
    .input(captureInput)
    .mutation(async ({ ctx, input }) => {
      const { holdId, usage, overrun } = input;
      const request = { wallet: optionalWalletName(input), holdId, usage, overrun };
      return wire(await ctx.services.holds.capture(request, ctx.actor));
    }),

  /** Releases all of a hold; nothing of it is billed. */
  void: scoped('holds:write')
    .input(z.strictObject(holdFields).superRefine(namesWalletAtMostOnce))
    .mutation(async ({ ctx, input }) => {
      const request = { wallet: optionalWalletName(input), holdId: input.holdId };
      return wire(await ctx.services.holds.void(request, ctx.actor));
    }),

  /** The wallet's open holds, oldest first. */
  list: scoped('holds:write')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) =>
      wire({ holds: await ctx.services.holds.list(walletName(input)) }),
    ),
});
