/** The procedures of rate cards, published ones and drafts. */
import { z } from 'zod';
import { draftCardSchema, rateCardSchema, rateRulesSchema } from '../rating/rate-card.ts';
import { usageTypeSchema } from '../rating/usage.ts';
import { router, scoped } from './context.ts';
import { instantSchema, wire } from './inputs.ts';

const cardId = z.uuid('must be a UUID');
const prefix = z.string().regex(/^\d{0,18}$/, 'must be at most 18 digits');
/** An import in pieces of a request's size goes by `merge`. */
const MAX_CSV_CHARACTERS = 1_500_000;

export const rateCardsRouter = router({
  /** Every published card, without its rules. */
  list: scoped('rates:read').query(async ({ ctx }) => {
    const cards = await ctx.services.rateCards.list();
    return wire({ rateCards: cards.map(({ head, ...rest }) => ({ ...head, ...rest })) });
  }),

  /** Rules of a card or a draft, by type and prefix; `prefix` is how theirs begins. */
  rules: scoped('rates:read')
    .input(
      z.strictObject({
        cardId,
        type: usageTypeSchema.optional(),
        prefix: prefix.optional(),
        cursor: z.string().max(100).optional(),
        limit: z.int().min(1).max(1_000).optional(),
      }),
    )
    .query(({ ctx, input: { cardId: id, type, prefix: begins, ...page } }) =>
      ctx.services.rateCards.rules.page(id, { type, prefix: begins }, page),
    ),

  /** Publishes the next version of a currency's card, at least a minute before it takes effect. */
  publish: scoped('rates:write')
    .input(z.custom<z.input<typeof rateCardSchema>>().superRefine(explainCard))
    .mutation(async ({ ctx, input }) =>
      wire(await ctx.services.rateCards.publish(input, ctx.actor)),
    ),

  /** Every draft, without its rules. */
  drafts: scoped('rates:read').query(async ({ ctx }) =>
    wire({ drafts: await ctx.services.rateCards.drafts.list() }),
  ),

  /** Begins a draft: based on a published card, or empty with its own name and currency. */
  createDraft: scoped('rates:write')
    .input(
      z.union([
        z.strictObject({ id: cardId, basedOn: cardId }),
        z.strictObject({ id: cardId, card: draftCardSchema }),
      ]),
    )
    .mutation(({ ctx, input }) => ctx.services.rateCards.drafts.create(input, ctx.actor)),

  describeDraft: scoped('rates:write')
    .input(z.strictObject({ id: cardId, card: draftCardSchema }))
    .mutation(({ ctx, input }) =>
      ctx.services.rateCards.drafts.describe(input.id, input.card, ctx.actor),
    ),

  /** Puts rules in the place of those of their type and prefix, and takes others out. */
  putRules: scoped('rates:write')
    .input(
      z.strictObject({
        id: cardId,
        put: rateRulesSchema.max(1_000).default([]),
        remove: z
          .array(z.strictObject({ type: usageTypeSchema, prefix }))
          .max(1_000)
          .default([]),
      }),
    )
    .mutation(({ ctx, input: { id, ...change } }) =>
      ctx.services.rateCards.drafts.changeRules(id, change, ctx.actor),
    ),

  /** Puts the rules of a CSV text into a draft, all or none. */
  importCsv: scoped('rates:write')
    .input(
      z.strictObject({
        id: cardId,
        csv: z.string().max(MAX_CSV_CHARACTERS),
        mode: z.enum(['replace', 'merge']),
      }),
    )
    .mutation(({ ctx, input: { id, ...file } }) =>
      ctx.services.rateCards.drafts.importCsv(id, file, ctx.actor),
    ),

  /** Publishes a draft as the next version of its currency, if it is at that revision still. */
  publishDraft: scoped('rates:write')
    .input(z.strictObject({ id: cardId, revision: z.int().min(1), effectiveFrom: instantSchema }))
    .mutation(({ ctx, input }) => ctx.services.rateCards.drafts.publish(input, ctx.actor)),

  discardDraft: scoped('rates:write')
    .input(z.strictObject({ id: cardId }))
    .mutation(async ({ ctx, input }) => ({
      discarded: await ctx.services.rateCards.drafts.discard(input.id, ctx.actor),
    })),
});

/** The card travels on in its JSON form, so it is checked here and not yet turned into bigints. */
function explainCard(card: unknown, context: z.core.$RefinementCtx): void {
  const parsed = rateCardSchema.safeParse(card);
  for (const issue of parsed.error?.issues ?? []) {
    context.issues.push({
      code: 'custom',
      path: issue.path,
      message: issue.message,
      input: undefined,
    });
  }
}
