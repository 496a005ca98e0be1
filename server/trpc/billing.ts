/** The procedures of the month. */
import { z } from 'zod';
import { isPeriod } from '../billing/month/month.ts';
import { router, scoped } from './context.ts';
import { wire } from './inputs.ts';

const periodSchema = z.string().refine(isPeriod, 'must be a calendar month as YYYY-MM');

export const billingRouter = router({
  /** How the month stands. */
  status: scoped('billing:read')
    .input(z.strictObject({ period: periodSchema.optional() }).default({}))
    .query(async ({ ctx, input }) => wire(await ctx.services.month.status(input.period))),
});
