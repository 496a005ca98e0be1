/** The procedures of usage: quotes, charges, refunds, explanations. */
import { z } from 'zod';
import type { ChargeRequest } from '../billing/charging/charging.ts';
import type { ChargeName } from '../billing/charging/explaining.ts';
import { positiveMicrosSchema } from '../ledger/money.ts';
import { usageSchema, usageTypeSchema } from '../rating/usage.ts';
import type { WalletName } from '../store/wallets.ts';
import { type ProcedureParts, router, scoped } from './context.ts';
import {
  instantSchema,
  namesOneWallet,
  noteSchema,
  referenceSchema,
  seqSchema,
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

/** Charges usage once per usage type and `referenceId`. */
const charge = {
  scope: 'usage:charge',
  input: chargeInput,
  run: async ({ charging }, input, actor) => wire(await charging.charge(input, actor)),
} as const satisfies ProcedureParts<typeof chargeInput, unknown>;

const chargeBatchInput = z.strictObject({ items: z.array(chargeInput).min(1).max(MAX_BATCH) });

/** Charges up to 1,000 items, each with its own answer, in order. */
const chargeBatch = {
  scope: 'usage:charge',
  input: chargeBatchInput,
  run: async ({ charging }, { items }, actor) => wire(await charging.chargeBatch(items, actor)),
} as const satisfies ProcedureParts<typeof chargeBatchInput, unknown>;

const refundInput = z
  .strictObject({
    ...walletFields,
    type: usageTypeSchema,
    referenceId: referenceSchema,
    amountMicros: positiveMicrosSchema.optional(),
    key: referenceSchema,
    reason: noteSchema,
  })
  .superRefine(namesOneWallet);

const explainInput = z
  .strictObject({
    ...walletFields,
    type: usageTypeSchema.optional(),
    referenceId: referenceSchema.optional(),
    seq: seqSchema.optional(),
  })
  .superRefine(namesOneWallet)
  .transform((input, context): { wallet: WalletName; charge: ChargeName } => {
    const { type, referenceId, seq } = input;
    const wallet = walletName(input);
    if (seq !== undefined && type === undefined && referenceId === undefined) {
      return { wallet, charge: { seq } };
    }
    if (seq === undefined && type !== undefined && referenceId !== undefined) {
      return { wallet, charge: { type, referenceId } };
    }
    const message = 'name the charge by type and referenceId, or else by seq alone';
    context.issues.push({ code: 'custom', path: [], message, input: undefined });
    return z.NEVER;
  });

export const usageRouter = router({
  /** What usage would cost, now or at an instant; nothing is written. */
  quote: scoped('usage:quote')
    .input(
      z
        .strictObject({ ...walletFields, usage: usageSchema, occurredAt: instantSchema.optional() })
        .superRefine(namesOneWallet),
    )
    .query(async ({ ctx, input }) => {
      const { usage, occurredAt } = input;
      return wire(await ctx.services.charging.quote(walletName(input), usage, occurredAt));
    }),

  charge: scoped(charge.scope)
    .input(charge.input)
    .mutation(({ ctx, input }) => charge.run(ctx.services, input, ctx.actor)),

  chargeBatch: scoped(chargeBatch.scope)
    .input(chargeBatch.input)
    .mutation(({ ctx, input }) => chargeBatch.run(ctx.services, input, ctx.actor)),

  /** How each charge under a reference came about, priced anew by the card that priced it then. */
  explain: scoped('wallets:read')
    .input(explainInput)
    .query(async ({ ctx, input }) =>
      wire(await ctx.services.explaining.explain(input.wallet, input.charge)),
    ),

  /** Gives usage back, once per key: a charge's, or a hold's, never more than it was billed. */
  refund: scoped('usage:refund')
    .input(refundInput)
    .mutation(async ({ ctx, input }) => {
      const { type, referenceId, amountMicros, key, reason } = input;
      const request = { wallet: walletName(input), type, referenceId, amountMicros, key, reason };
      return wire(await ctx.services.refunds.refund(request, ctx.actor));
    }),
});

/** What services call thousands of times a second, by its parts. */
export const CHARGE_PROCEDURES = { charge, chargeBatch };
