/**
 * What a Remix loader or action is given. Types alone: the values arrive through
 * `getLoadContext`. What an area shows and does stands in `server/views`.
 *
 * Money in these views is `bigint` micros; loaders turn it into decimal strings for the browser.
 */
import type { AccountServices, SessionUser } from '../views/accounts.ts';
import type { AdminServices } from '../views/admin.ts';
import type { AlertServices } from '../views/alerts.ts';
import type { AutoTopUpServices } from '../views/auto-top-ups.ts';
import type { CardServices } from '../views/cards.ts';
import type { RefundDesk } from '../views/payment-refunds.ts';
import type { PriceServices } from '../views/prices.ts';
import type { RateCardDesk } from '../views/rate-cards.ts';
import type { RepricingDesk } from '../views/repricing.ts';
import type { LimitServices } from '../views/spending-limits.ts';
import type { StatementServices } from '../views/statements.ts';
import type { StripeDesk } from '../views/stripe-desk.ts';
import type { SubscriptionServices } from '../views/subscriptions.ts';
import type { TopUpServices } from '../views/top-ups.ts';
import type { UsageServices } from '../views/usage.ts';
import type { WalletDesk } from '../views/wallet-desk.ts';
import type { WalletServices } from '../views/wallets.ts';

export interface Services {
  accounts: AccountServices;
  wallets: WalletServices;
  topUps: TopUpServices;
  autoTopUps: AutoTopUpServices;
  alerts: AlertServices;
  statements: StatementServices;
  usage: UsageServices;
  paymentMethods: CardServices;
  refundDesk: RefundDesk;
  admin: AdminServices;
  stripeDesk: StripeDesk;
  rateCardDesk: RateCardDesk;
  repricingDesk: RepricingDesk;
  prices: PriceServices;
  walletDesk: WalletDesk;
  spendingLimits: LimitServices;
  subscriptions: SubscriptionServices;
}

export interface LoadContext {
  requestId: string;
  cspNonce: string;
  /** The signed-in user, or null. Pages under /account redirect to /login without one. */
  user: SessionUser | null;
  ip: string;
  services: Services;
  /** Logs, with the request id, an error that no page expected. */
  reportError(error: unknown): void;
  config: {
    appName: string;
    appUrl: string;
    stripePublishableKey: string;
    /** When set, a plain `<script>` in `<head>` loads Stripe.js from here; otherwise stripe-js does. */
    stripeScriptUrl: string | null;
    /** Shown on the sign-in page in development; null in production. */
    demoSignIn: { email: string; password: string } | null;
  };
}
