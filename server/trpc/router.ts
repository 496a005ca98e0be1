/** The charging API as one router. */
import { billingRouter } from './billing.ts';
import { createCallerFactory, router } from './context.ts';
import { holdsRouter } from './holds.ts';
import { rateCardsRouter } from './rate-cards.ts';
import { subscriptionsRouter } from './subscriptions.ts';
import { usageRouter } from './usage.ts';
import { walletsRouter } from './wallets.ts';

/** Everything that internal services may ask for; the typed client has the same shape. */
export const appRouter = router({
  wallets: walletsRouter,
  usage: usageRouter,
  holds: holdsRouter,
  rateCards: rateCardsRouter,
  subscriptions: subscriptionsRouter,
  billing: billingRouter,
});

export type AppRouter = typeof appRouter;

export const createCaller = createCallerFactory(appRouter);
