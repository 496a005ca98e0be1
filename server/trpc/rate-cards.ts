import { z } from 'zod';
import { rateCardSchema } from '../rating/rate-card.ts';
import { router, scoped } from './context.ts';
import { wire } from './inputs.ts';

export const rateCardsRouter = router({
  /** Every published card. */
  list: scoped('rates:read').query(async ({ ctx }) =>
    wire({ rateCards: await ctx.services.rateCards.list() }),
  ),

  /** Publishes the next version of a currency's card, at least a minute before it takes effect. */
  publish: scoped('rates:write')
    .input(z.custom<z.input<typeof rateCardSchema>>().superRefine(explainCard))
    .mutation(async ({ ctx, input }) =>
      wire(await ctx.services.rateCards.publish(input, ctx.actor)),
    ),
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
