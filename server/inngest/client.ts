/** The Inngest client, and the events that this program sends to itself. */
import { eventType, Inngest } from 'inngest';
import type { Logger } from 'pino';
import { z } from 'zod';

/** The id under which Inngest knows this application; function ids are prefixed with it. */
const INNGEST_APP_ID = 'prepaid-wallet';

const period = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'a period is written YYYY-MM');

/** A webhook of Stripe was stored in `stripe_inbox` under this event id and waits to be applied. */
export const stripeEventReceived = eventType('stripe/event.received', {
  schema: z.object({ eventId: z.string().min(1) }),
});

/** A billing run exists for this calendar month (YYYY-MM) and is to be planned into ranges. */
export const billingMonthRequested = eventType('billing/month.requested', {
  schema: z.object({ runId: z.string().min(1), period }),
});

/** The wallets from `fromWalletId` to `toWalletId`, as planned, are to be closed for the period. */
export const billingRangeRequested = eventType('billing/range.requested', {
  schema: z.object({
    runId: z.string().min(1),
    period,
    fromWalletId: z.string().min(1),
    toWalletId: z.string().min(1),
  }),
});

export interface InngestOptions {
  /** Key for sending events; production only. */
  eventKey?: string | undefined;
  /** Key that signs Inngest's requests to us and ours to it; production only. */
  signingKey?: string | undefined;
  /** True turns signatures off and expects a development server at `baseUrl`. */
  isDev: boolean;
  /** Where Inngest answers; by default its cloud, or localhost:8288 in development. */
  baseUrl?: string | undefined;
  logger?: Logger | undefined;
}

/** The Inngest client of this application. Reads no environment of its own for what is given here. */
export function createInngest(options: InngestOptions): Inngest {
  return new Inngest({
    id: INNGEST_APP_ID,
    isDev: options.isDev,
    // Nothing here talks to language models; off, the SDK attaches no tracing processor.
    aiMetadata: false,
    ...(options.eventKey !== undefined && { eventKey: options.eventKey }),
    ...(options.signingKey !== undefined && { signingKey: options.signingKey }),
    ...(options.baseUrl !== undefined && { baseUrl: options.baseUrl }),
    ...(options.logger !== undefined && { logger: options.logger }),
  });
}
