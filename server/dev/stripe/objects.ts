import type Stripe from 'stripe';
import type { TestCard } from './cards.ts';
import { newId, randomToken } from './ids.ts';

/**
 * Builders of the objects with every field that the SDK's types ask for: that they compile is the
 * check that the stand-in speaks the shapes of the installed SDK's API version.
 */

export const EMPTY_ADDRESS: Stripe.Address = {
  city: null,
  country: null,
  line1: null,
  line2: null,
  postal_code: null,
  state: null,
};

export function newCustomer(nowSeconds: number): Stripe.Customer {
  return {
    id: newId('cus'),
    object: 'customer',
    address: null,
    balance: 0,
    created: nowSeconds,
    currency: null,
    customer_account: null,
    default_source: null,
    delinquent: false,
    description: null,
    discount: null,
    email: null,
    invoice_prefix: randomToken(8).toUpperCase(),
    invoice_settings: {
      custom_fields: null,
      default_payment_method: null,
      footer: null,
      rendering_options: null,
    },
    livemode: false,
    metadata: {},
    name: null,
    next_invoice_sequence: 1,
    phone: null,
    preferred_locales: [],
    shipping: null,
    tax_exempt: 'none',
    test_clock: null,
  };
}

export function newPaymentMethod(input: {
  nowSeconds: number;
  card: TestCard;
  expMonth: number;
  expYear: number;
  cvcGiven: boolean;
  billingDetails: Stripe.PaymentMethod.BillingDetails;
}): Stripe.PaymentMethod {
  return {
    id: newId('pm'),
    object: 'payment_method',
    allow_redisplay: 'unspecified',
    billing_details: input.billingDetails,
    card: {
      brand: input.card.brand,
      checks: {
        address_line1_check: null,
        address_postal_code_check: null,
        cvc_check: input.cvcGiven ? 'unchecked' : null,
      },
      country: 'US',
      display_brand: input.card.brand,
      exp_month: input.expMonth,
      exp_year: input.expYear,
      // The same card has the same fingerprint, as integrations that look for duplicates expect.
      fingerprint: `standin${input.card.number.slice(0, 2)}${input.card.number.slice(-7)}`,
      funding: input.card.funding,
      generated_from: null,
      last4: input.card.number.slice(-4),
      networks: { available: [input.card.brand], preferred: null },
      regulated_status: 'unregulated',
      three_d_secure_usage: { supported: true },
      wallet: null,
    },
    created: input.nowSeconds,
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: {},
    type: 'card',
  };
}

export function newPaymentIntent(
  nowSeconds: number,
  given: Pick<
    Stripe.PaymentIntent,
    | 'allowed_payment_method_types'
    | 'amount'
    | 'automatic_payment_methods'
    | 'capture_method'
    | 'currency'
    | 'customer'
    | 'description'
    | 'metadata'
    | 'receipt_email'
    | 'setup_future_usage'
    | 'statement_descriptor'
    | 'statement_descriptor_suffix'
  >,
): Stripe.PaymentIntent {
  const id = newId('pi');
  return {
    id,
    object: 'payment_intent',
    amount_capturable: 0,
    amount_details: { tip: {} },
    amount_received: 0,
    application: null,
    application_fee_amount: null,
    canceled_at: null,
    cancellation_reason: null,
    client_secret: `${id}_secret_${randomToken(25)}`,
    confirmation_method: 'automatic',
    created: nowSeconds,
    customer_account: null,
    excluded_payment_method_types: null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    managed_payments: { enabled: false },
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: given.automatic_payment_methods
      ? { id: 'pmc_standin', parent: null }
      : null,
    payment_method_options: {
      card: {
        installments: null,
        mandate_options: null,
        network: null,
        request_three_d_secure: 'automatic',
      },
    },
    payment_method_types: ['card'],
    payment_record: null,
    processing: null,
    review: null,
    shipping: null,
    source: null,
    status: 'requires_payment_method',
    transfer_data: null,
    transfer_group: null,
    ...given,
  };
}

export function newSetupIntent(
  nowSeconds: number,
  given: Pick<
    Stripe.SetupIntent,
    | 'allowed_payment_method_types'
    | 'automatic_payment_methods'
    | 'customer'
    | 'description'
    | 'metadata'
    | 'usage'
  >,
): Stripe.SetupIntent {
  const id = newId('seti');
  return {
    id,
    object: 'setup_intent',
    application: null,
    cancellation_reason: null,
    client_secret: `${id}_secret_${randomToken(25)}`,
    created: nowSeconds,
    customer_account: null,
    excluded_payment_method_types: null,
    flow_directions: null,
    last_setup_error: null,
    latest_attempt: null,
    livemode: false,
    mandate: null,
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: given.automatic_payment_methods
      ? { id: 'pmc_standin', parent: null }
      : null,
    payment_method_options: {
      card: { mandate_options: null, network: null, request_three_d_secure: 'automatic' },
    },
    payment_method_types: ['card'],
    single_use_mandate: null,
    status: 'requires_payment_method',
    ...given,
  };
}

export function newRefund(
  nowSeconds: number,
  given: Pick<
    Stripe.Refund,
    'amount' | 'balance_transaction' | 'charge' | 'metadata' | 'reason' | 'status'
  > & { of: Stripe.Charge },
): Stripe.Refund {
  const { of: charge, ...fields } = given;
  return {
    id: newId('re'),
    object: 'refund',
    created: nowSeconds,
    currency: charge.currency,
    customer: charge.customer,
    customer_account: null,
    destination_details: {
      card: {
        reference_status: 'pending',
        reference_type: 'acquirer_reference_number',
        type: 'refund',
      },
      type: 'card',
    },
    payment_intent: charge.payment_intent,
    payment_method: charge.payment_method,
    receipt_number: null,
    source_transfer_reversal: null,
    transfer_reversal: null,
    ...fields,
  };
}

/** `source` is the object that moved the money. Amounts in minor units; debits are negative. */
export function newBalanceTransaction(
  nowSeconds: number,
  given: Pick<
    Stripe.BalanceTransaction,
    'amount' | 'currency' | 'description' | 'fee' | 'reporting_category' | 'source' | 'type'
  >,
): Stripe.BalanceTransaction {
  return {
    id: newId('txn'),
    object: 'balance_transaction',
    available_on: nowSeconds + 2 * 24 * 60 * 60,
    balance_type: 'payments',
    created: nowSeconds,
    exchange_rate: null,
    fee_details:
      given.fee === 0
        ? []
        : [
            {
              amount: given.fee,
              application: null,
              currency: given.currency,
              description: 'Stripe processing fees',
              type: 'stripe_fee',
            },
          ],
    net: given.amount - given.fee,
    status: 'pending',
    ...given,
  };
}
