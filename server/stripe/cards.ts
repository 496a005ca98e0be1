/** The part of the gateway that concerns saved cards. */
import Stripe from 'stripe';
import { StripeGatewayError } from './errors.ts';

export interface StripeCard {
  id: string;
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
}

export interface StripeCardGateway {
  /** A secret, valid for half an hour, that lets the Payment Element show and save cards. */
  createCustomerSession(customerId: string): Promise<{ clientSecret: string; expiresAt: Date }>;
  /**
   * Makes the intent that saves a card for payments without the cardholder. The page's Elements
   * must be made with `setupFutureUsage: 'off_session'` and for cards alone.
   */
  createSetupIntent(input: {
    customerId: string;
    idempotencyKey: string;
  }): Promise<{ id: string; clientSecret: string }>;
  /** The customer's saved cards, newest first; null when the customer was deleted. */
  listCards(customerId: string): Promise<StripeCard[] | null>;
  /** Removes a saved card. Whose card it is, the caller has checked. */
  detachCard(id: string): Promise<void>;
}

/** The most saved cards that Stripe lets the Payment Element show. */
const MAX_REDISPLAYED = 10;

/** `call` runs a call of the SDK and turns what it throws into a `StripeGatewayError`. */
export function cardGateway(
  stripe: Stripe,
  call: <T>(operation: string, run: () => Promise<T>) => Promise<T>,
): StripeCardGateway {
  return {
    createCustomerSession: (customerId) =>
      call('to create a customer session', async () => {
        const session = await stripe.customerSessions.create({
          customer: customerId,
          components: {
            payment_element: {
              enabled: true,
              features: {
                // Each card of ours was saved by its user, when paying or on the page of the cards.
                payment_method_allow_redisplay_filters: ['always', 'limited', 'unspecified'],
                payment_method_redisplay: 'enabled',
                payment_method_redisplay_limit: MAX_REDISPLAYED,
                payment_method_remove: 'enabled',
                payment_method_save: 'enabled',
                payment_method_save_usage: 'off_session',
              },
            },
          },
        });
        return {
          clientSecret: session.client_secret,
          expiresAt: new Date(session.expires_at * 1000),
        };
      }),

    createSetupIntent: ({ customerId, idempotencyKey }) =>
      call('to create a setup intent', async () => {
        const { id, client_secret: clientSecret } = await stripe.setupIntents.create(
          { allowed_payment_method_types: ['card'], customer: customerId, usage: 'off_session' },
          { idempotencyKey },
        );
        if (clientSecret === null) {
          throw new StripeGatewayError('a setup intent of an unknown kind', {
            code: 'PAYMENT_PROVIDER_UNAVAILABLE',
            retryable: true,
          });
        }
        return { id, clientSecret };
      }),

    listCards: (customerId) =>
      call('to list cards', async () => {
        const cards: StripeCard[] = [];
        const params = { customer: customerId, limit: 100, type: 'card' } as const;
        try {
          for await (const paymentMethod of stripe.paymentMethods.list(params)) {
            cards.push(...toCards(paymentMethod));
          }
        } catch (error) {
          if (isMissing(error) && (await isDeleted(stripe, customerId))) return null;
          throw error;
        }
        return cards;
      }),

    detachCard: (id) =>
      call('to remove a card', async () => {
        await stripe.paymentMethods.detach(id);
      }),
  };
}

function toCards(paymentMethod: Stripe.PaymentMethod): StripeCard[] {
  const { id, card } = paymentMethod;
  if (!card) return [];
  return [
    {
      id,
      brand: card.display_brand ?? card.brand,
      last4: card.last4,
      expMonth: card.exp_month,
      expYear: card.exp_year,
    },
  ];
}

function isMissing(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeError && error.code === 'resource_missing';
}

/** Whether the customer was deleted: Stripe keeps a trace of those, and none of what never was. */
async function isDeleted(stripe: Stripe, customerId: string): Promise<boolean> {
  return (await stripe.customers.retrieve(customerId)).deleted === true;
}
