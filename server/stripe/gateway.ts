/** The gateway to Stripe: customers and payments; cards and money back have files of their own. */
import Stripe from 'stripe';
import { cardGateway, type StripeCardGateway } from './cards.ts';
import { toGatewayError } from './errors.ts';
import { type MoneyBackGateway, moneyBackGateway } from './money-back.ts';
import { type StripeIntent, toIntent } from './payment-intents.ts';
import { createdIn, orNull, readList } from './reading.ts';

export interface StripeGateway extends StripeCardGateway, MoneyBackGateway {
  createCustomer(input: {
    userId: string;
    email?: string | undefined;
    idempotencyKey: string;
  }): Promise<{ id: string }>;
  /**
   * Makes the payment intent of a top-up. Which payment methods it takes is set up in Stripe's
   * dashboard. With `saveForLater` the card is kept for payments without the cardholder, and the
   * page's Elements must be made with `setupFutureUsage: 'off_session'`.
   */
  createTopUpIntent(input: {
    topUpId: string;
    customerId: string;
    amountMinor: bigint;
    currency: string;
    receiptEmail?: string | undefined;
    idempotencyKey: string;
    saveForLater?: boolean | undefined;
  }): Promise<StripeIntent>;
  /**
   * Makes the payment intent of an automatic top-up and charges a saved card without its holder.
   * When the card is refused, the error names the intent, which another card may pay.
   */
  chargeSavedCard(input: {
    topUpId: string;
    customerId: string;
    amountMinor: bigint;
    currency: string;
    paymentMethodId: string;
    idempotencyKey: string;
  }): Promise<StripeIntent>;
  /** Charges another saved card for an intent that no card has paid. */
  chargeAnotherCard(input: {
    intentId: string;
    paymentMethodId: string;
    idempotencyKey: string;
  }): Promise<StripeIntent>;
  retrieveIntent(id: string): Promise<StripeIntent>;
  /** As `retrieveIntent`; null when Stripe knows no such intent. */
  findIntent(id: string): Promise<StripeIntent | null>;
  /** Refused when the intent has succeeded or is canceled already. */
  cancelIntent(id: string): Promise<StripeIntent>;
  /**
   * Intents created in `[from, to)`, to whole seconds, newest first, read page by page; of one
   * customer when it is given.
   */
  listIntents(range: {
    from: Date;
    to: Date;
    customerId?: string | undefined;
  }): AsyncIterable<StripeIntent>;
}

const TIMEOUT_MS = 15_000;
const MAX_NETWORK_RETRIES = 2;

/** Where the SDK sends its calls: the origin of `apiBase`, which must be nothing but an origin. */
function target(apiBase: string): Pick<Stripe.StripeConfig, 'host' | 'port' | 'protocol'> {
  const { protocol, hostname, port, origin } = new URL(apiBase);
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new Error('apiBase must be an http or https origin');
  }
  if (apiBase !== origin && apiBase !== `${origin}/`) {
    throw new Error('apiBase must be an origin without path, query or credentials');
  }
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port || (protocol === 'https:' ? 443 : 80),
    protocol: protocol === 'https:' ? 'https' : 'http',
  };
}

function safeNumber(amountMinor: bigint): number {
  const amount = Number(amountMinor);
  if (!Number.isSafeInteger(amount)) throw new RangeError('amountMinor is out of range');
  return amount;
}

/**
 * The only way out to Stripe. `apiBase` is another server that speaks Stripe's API; the version of
 * the API is the one that the SDK pins. Every method throws `StripeGatewayError`; calls that fail on
 * the way are made again twice, which the idempotency keys make safe.
 */
export function createStripeGateway(options: {
  secretKey: string;
  apiBase?: string;
  /** Longest wait for one answer; default 15 s. */
  timeoutMs?: number;
}): StripeGateway {
  const stripe = new Stripe(options.secretKey, {
    apiVersion: Stripe.API_VERSION,
    maxNetworkRetries: MAX_NETWORK_RETRIES,
    telemetry: false,
    timeout: options.timeoutMs ?? TIMEOUT_MS,
    ...(options.apiBase === undefined ? {} : target(options.apiBase)),
  });

  async function call<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw toGatewayError(operation, error);
    }
  }

  const expand = ['latest_charge'];
  const retrieveIntent = (id: string) =>
    call('to read a payment intent', async () =>
      toIntent(await stripe.paymentIntents.retrieve(id, { expand })),
    );
  return {
    ...cardGateway(stripe, call),
    ...moneyBackGateway(stripe),

    createCustomer: ({ userId, email, idempotencyKey }) =>
      call('to create a customer', async () => {
        const params = { metadata: { userId }, ...(email === undefined ? {} : { email }) };
        const { id } = await stripe.customers.create(params, { idempotencyKey });
        return { id };
      }),

    createTopUpIntent: (input) =>
      call('to create a payment intent', async () =>
        toIntent(
          await stripe.paymentIntents.create(
            {
              amount: safeNumber(input.amountMinor),
              automatic_payment_methods: { enabled: true },
              currency: input.currency.toLowerCase(),
              customer: input.customerId,
              expand,
              metadata: { topupId: input.topUpId },
              ...(input.receiptEmail === undefined ? {} : { receipt_email: input.receiptEmail }),
              ...(input.saveForLater === true ? { setup_future_usage: 'off_session' } : {}),
            },
            { idempotencyKey: input.idempotencyKey },
          ),
        ),
      ),

    chargeSavedCard: (input) =>
      call('to charge a saved card', async () =>
        toIntent(
          await stripe.paymentIntents.create(
            {
              amount: safeNumber(input.amountMinor),
              automatic_payment_methods: { enabled: true },
              confirm: true,
              currency: input.currency.toLowerCase(),
              customer: input.customerId,
              error_on_requires_action: true,
              expand,
              metadata: { topupId: input.topUpId },
              off_session: true,
              payment_method: input.paymentMethodId,
            },
            { idempotencyKey: input.idempotencyKey },
          ),
        ),
      ),

    chargeAnotherCard: (input) =>
      call('to charge another saved card', async () =>
        toIntent(
          await stripe.paymentIntents.confirm(
            input.intentId,
            {
              error_on_requires_action: true,
              expand,
              off_session: true,
              payment_method: input.paymentMethodId,
            },
            { idempotencyKey: input.idempotencyKey },
          ),
        ),
      ),

    retrieveIntent,

    findIntent: (id) => orNull(retrieveIntent(id)),

    cancelIntent: (id) =>
      call('to cancel a payment intent', async () =>
        toIntent(await stripe.paymentIntents.cancel(id, { expand })),
      ),

    listIntents: ({ customerId, ...range }) =>
      readList(
        'to list payment intents',
        stripe.paymentIntents.list({
          created: createdIn(range),
          expand: ['data.latest_charge'],
          limit: 100,
          ...(customerId === undefined ? {} : { customer: customerId }),
        }),
        toIntent,
      ),
  };
}
