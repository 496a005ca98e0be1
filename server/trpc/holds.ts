/** The procedures of holds: usage that is authorized before it is delivered. */
import { z } from 'zod';
import { type AuthorizeRequest, DEFAULT_TTL_SECONDS } from '../billing/charging/hold-placing.ts';
import { maxTtlSeconds, minTtlSeconds } from '../ledger/hold.ts';
import { positiveMicrosSchema } from '../ledger/money.ts';
import { isParty, usageSchema, usageTypeSchema } from '../rating/usage.ts';
import { type ProcedureParts, router, scoped } from './context.ts';
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
      return refuse('usage', 'must be given, or amountMicros in its place');
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

const voidInput = z.strictObject(holdFields).superRefine(namesWalletAtMostOnce);

/** Reserves money for usage that is about to begin, and says how much of it is affordable. */
const authorize = {
  scope: 'holds:write',
  input: authorizeInput,
  run: async ({ holds }, input, actor) => wire(await holds.authorize(input, actor)),
} as const satisfies ProcedureParts<typeof authorizeInput, unknown>;

/** The heartbeat of running usage. */
const extend = {
  scope: 'holds:write',
  input: extendInput,
  async run({ holds }, input, actor) {
    const { holdId, usageSoFar, addMicros, ttlSeconds } = input;
    const wallet = optionalWalletName(input);
    return wire(await holds.extend({ wallet, holdId, usageSoFar, addMicros, ttlSeconds }, actor));
  },
} as const satisfies ProcedureParts<typeof extendInput, unknown>;

/** Posts the final usage and releases the rest. */
const capture = {
  scope: 'holds:write',
  input: captureInput,
  async run({ holds }, input, actor) {
    const { holdId, usage, overrun } = input;
    const wallet = optionalWalletName(input);
    return wire(await holds.capture({ wallet, holdId, usage, overrun }, actor));
  },
} as const satisfies ProcedureParts<typeof captureInput, unknown>;

/** Releases all of a hold; nothing of it is billed. */
const voidHold = {
  scope: 'holds:write',
  input: voidInput,
  run: async ({ holds }, input, actor) =>
    wire(await holds.void({ wallet: optionalWalletName(input), holdId: input.holdId }, actor)),
} as const satisfies ProcedureParts<typeof voidInput, unknown>;

/** What switches call for every call that they carry, by its parts. */
export const HOLD_PROCEDURES = { authorize, extend, capture, void: voidHold };

export const holdsRouter = router({
  authorize: scoped(authorize.scope)
    .input(authorize.input)
    .mutation(({ ctx, input }) => authorize.run(ctx.services, input, ctx.actor)),

  extend: scoped(extend.scope)
    .input(extend.input)
    .mutation(({ ctx, input }) => extend.run(ctx.services, input, ctx.actor)),

  capture: scoped(capture.scope)
    .input(capture.input)
    .mutation(({ ctx, input }) => capture.run(ctx.services, input, ctx.actor)),

  void: scoped(voidHold.scope)
    .input(voidHold.input)
    .mutation(({ ctx, input }) => voidHold.run(ctx.services, input, ctx.actor)),

  /** The wallet's open holds, oldest first. */
  list: scoped('holds:write')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) =>
      wire({ holds: await ctx.services.holds.list(walletName(input)) }),
    ),
});
