/** The procedures of wallets: opening, reading, credit, limits, status, refunds to cards. */
import { z } from 'zod';
import { MAX_PAGE } from '../billing/wallets/wallets.ts';
import { WALLET_EVENT_TYPES } from '../ledger/events.ts';
import { positiveMicrosSchema } from '../ledger/money.ts';
import { router, scoped } from './context.ts';
import {
  currencySchema,
  instantSchema,
  namesOneWallet,
  noteSchema,
  referenceSchema,
  userIdSchema,
  walletFields,
  walletName,
  wire,
} from './inputs.ts';
import { setLimitsInput } from './spending-limits.ts';

const openInput = z.strictObject({
  userId: userIdSchema,
  currency: currencySchema.optional(),
  timezone: z.string().max(64).optional(),
  mode: z.enum(['live', 'deferred']).optional(),
});

const limitSchema = z.int().min(1).max(MAX_PAGE).optional();

/** A page of a wallet's events or grants, which number what they list. */
const pageFields = { cursor: z.string().max(20).optional(), limit: limitSchema };

const listInput = z
  .strictObject({
    userIdPrefix: userIdSchema.or(z.literal('')).default(''),
    cursor: z.uuid('is not one that this list gave').optional(),
    limit: limitSchema,
  })
  .prefault({});

const eventsInput = z
  .strictObject({
    ...walletFields,
    ...pageFields,
    types: z
      .array(z.enum(WALLET_EVENT_TYPES, 'must be a type of event'))
      .min(1, 'must name a type of event, or be left out')
      .max(WALLET_EVENT_TYPES.length)
      .optional(),
    from: instantSchema.optional(),
    to: instantSchema.optional(),
  })
  .superRefine(namesOneWallet);

/** A change of the wallet's status, with a reason that its user reads in the history. */
function statusProcedure(status: 'open' | 'frozen' | 'closed') {
  return scoped('wallets:manage')
    .input(z.strictObject({ ...walletFields, reason: noteSchema }).superRefine(namesOneWallet))
    .mutation(async ({ ctx, input }) => {
      const request = { wallet: walletName(input), status, reason: input.reason };
      return wire(await ctx.services.wallets.changeStatus(request, ctx.actor));
    });
}

export const walletsRouter = router({
  /** Opens a wallet, or returns the one the user has in this currency. */
  open: scoped('wallets:write')
    .input(openInput)
    .mutation(async ({ ctx, input }) => wire(await ctx.services.wallets.open(input, ctx.actor))),

  get: scoped('wallets:read')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) => wire(await ctx.services.wallets.get(walletName(input)))),

  /** A page of the wallets whose user id starts with the text; `nextCursor` asks for the next. */
  list: scoped('wallets:read')
    .input(listInput)
    .query(async ({ ctx, input: { userIdPrefix, ...page } }) =>
      wire(await ctx.services.wallets.list(userIdPrefix, page)),
    ),

  /** A page of events, newest first; `nextCursor` asks for the next one. */
  events: scoped('wallets:read')
    .input(eventsInput)
    .query(async ({ ctx, input }) => {
      const wallet = await ctx.services.wallets.get(walletName(input));
      const { cursor, limit, types, from, to } = input;
      return wire(
        await ctx.services.wallets.events(wallet.walletId, { cursor, limit, types, from, to }),
      );
    }),

  /** The wallet as it stood at the end of an instant's millisecond. */
  balanceAt: scoped('wallets:read')
    .input(z.strictObject({ ...walletFields, at: instantSchema }).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) => {
      const { walletId } = await ctx.services.wallets.get(walletName(input));
      return wire(await ctx.services.wallets.balanceAt(walletId, input.at));
    }),

  /** Keeps the wallet from being spent from; it may still receive, and what runs is billed. */
  freeze: statusProcedure('frozen'),
  unfreeze: statusProcedure('open'),
  /** For good, and only when nothing is left in it. */
  close: statusProcedure('closed'),

  /** How the wallet's automatic top-up stands: its terms, the month's cap, and why it rests. */
  autoTopUp: scoped('wallets:read')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) =>
      wire({ autoTopUp: await ctx.services.wallets.autoTopUp(walletName(input)) }),
    ),

  /** Lets it go on after a pause, also one that its user cannot set aside, as after a dispute. */
  resumeAutoTopUp: scoped('wallets:manage')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .mutation(async ({ ctx, input }) =>
      wire(await ctx.services.wallets.resumeAutoTopUp(walletName(input), ctx.actor)),
    ),

  /** What has become of each grant, newest first; `nextCursor` asks for the next page. */
  grants: scoped('wallets:read')
    .input(z.strictObject({ ...walletFields, ...pageFields }).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) => {
      const { walletId } = await ctx.services.wallets.get(walletName(input));
      const { cursor, limit } = input;
      return wire(await ctx.services.wallets.grants(walletId, { cursor, limit }));
    }),

  /** The wallet's spending limits, and how they stand. */
  limits: scoped('wallets:read')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) =>
      wire(await ctx.services.spendingLimits.get(walletName(input))),
    ),

  /** Replaces the wallet's spending limits; the same ones again change nothing. */
  setLimits: scoped('wallets:manage')
    .input(setLimitsInput)
    .mutation(async ({ ctx, input }) =>
      wire(await ctx.services.spendingLimits.set(walletName(input), input.limits, ctx.actor)),
    ),

  /**
   * Unspent money back to the cards that paid it, once per key: of one top-up, or of all, those
   * credited last first.
   */
  refundTopUps: scoped('refund:create')
    .input(
      z
        .strictObject({
          ...walletFields,
          topUpId: z.uuid('must be a UUID').optional(),
          amountMicros: positiveMicrosSchema.optional(),
          key: referenceSchema,
          reason: noteSchema,
        })
        .superRefine(namesOneWallet),
    )
    .mutation(async ({ ctx, input }) => {
      const { topUpId, amountMicros, key, reason } = input;
      const request = { wallet: walletName(input), topUpId, amountMicros, key, reason };
      const by = { actor: ctx.actor, whileFrozen: true };
      return wire(await ctx.services.paymentRefunds.refund(request, by));
    }),

  /** How much of the wallet's top-ups may go back to cards now, and the newest refunds. */
  topUpRefunds: scoped('wallets:read')
    .input(z.strictObject(walletFields).superRefine(namesOneWallet))
    .query(async ({ ctx, input }) => {
      const { walletId } = await ctx.services.wallets.get(walletName(input));
      return wire(await ctx.services.paymentRefunds.of(walletId));
    }),

  /** Promotional credit, once per key, until `expiresAt` or for ever. */
  grant: scoped('credit:grant')
    .input(
      z
        .strictObject({
          ...walletFields,
          amountMicros: positiveMicrosSchema,
          key: referenceSchema,
          reason: noteSchema,
          expiresAt: instantSchema.optional(),
        })
        .superRefine(namesOneWallet),
    )
    .mutation(async ({ ctx, input }) => {
      const { amountMicros, key, reason, expiresAt } = input;
      const request = { wallet: walletName(input), amountMicros, key, reason, expiresAt };
      return wire(await ctx.services.grants.grant(request, ctx.actor));
    }),
});
