/** What comes back of payments, as Stripe tells it: refunds, disputes, warnings of fraud. */
import type Stripe from 'stripe';
import { isUuid } from '../uuid.ts';
import { toGatewayError } from './errors.ts';
import { createdIn, orNull, readList } from './reading.ts';

const REFUND_STATUSES = ['pending', 'requires_action', 'succeeded', 'failed', 'canceled'] as const;

/** A refund as the wallet needs it. Amounts in minor units of `currency`. */
export interface StripeRefund {
  id: string;
  status: (typeof REFUND_STATUSES)[number];
  amountMinor: bigint;
  /** Upper-case ISO 4217. */
  currency: string;
  paymentIntentId: string | null;
  /** The reservation that it was made for; null when it was not made by this program. */
  ownRefundId: string | null;
  failureCode: string | null;
  createdAt: Date;
}

export interface StripeDispute {
  id: string;
  /** Stripe's word; new ones come. */
  status: string;
  /** Why the cardholder's bank disputes. */
  reason: string;
  amountMinor: bigint;
  /** Upper-case ISO 4217. */
  currency: string;
  paymentIntentId: string | null;
  /** All that the bank has ever taken for it, and given back, in `currency`. */
  withdrawnMinor: bigint;
  reinstatedMinor: bigint;
  createdAt: Date;
}

/** A card network's warning that a payment is likely fraud. */
export interface StripeFraudWarning {
  id: string;
  fraudType: string;
  /** A refund would still keep a dispute away. */
  actionable: boolean;
  paymentIntentId: string | null;
  createdAt: Date;
}

export interface MoneyBackGateway {
  /** Asks for a refund to the card that paid. More than is left of the payment is refused. */
  createRefund(input: {
    paymentIntentId: string;
    amountMinor: bigint;
    ownRefundId: string;
    idempotencyKey: string;
  }): Promise<StripeRefund>;
  retrieveRefund(id: string): Promise<StripeRefund>;
  /** All refunds of a payment, or of one charge of it. */
  listRefunds(of: { paymentIntentId: string } | { chargeId: string }): Promise<StripeRefund[]>;
  /** As `retrieveRefund`; null when Stripe knows no such refund. */
  findRefund(id: string): Promise<StripeRefund | null>;
  /** Refunds of all payments made in `[from, to)`, to whole seconds, newest first, page by page. */
  listRefundsMade(range: { from: Date; to: Date }): AsyncIterable<StripeRefund>;
  retrieveDispute(id: string): Promise<StripeDispute>;
  /** As `retrieveDispute`; null when Stripe knows no such dispute. */
  findDispute(id: string): Promise<StripeDispute | null>;
  /** Disputes, and inquiries, opened in `[from, to)`, as `listRefundsMade`. */
  listDisputes(range: { from: Date; to: Date }): AsyncIterable<StripeDispute>;
  retrieveFraudWarning(id: string): Promise<StripeFraudWarning>;
}

function idOf(reference: string | { id: string } | null | undefined): string | null {
  return typeof reference === 'string' ? reference : (reference?.id ?? null);
}

/** Anybody may write metadata in Stripe's dashboard: what is no id of ours is none. */
function ownRefundIdOf({ metadata }: Stripe.Refund): string | null {
  const id = metadata?.walletRefundId ?? '';
  return isUuid(id) ? id : null;
}

/** A status that is not known yet is no failure: the money is on its way. */
function toRefund(refund: Stripe.Refund): StripeRefund {
  return {
    id: refund.id,
    status: REFUND_STATUSES.find((known) => known === refund.status) ?? 'pending',
    amountMinor: BigInt(refund.amount),
    currency: refund.currency.toUpperCase(),
    paymentIntentId: idOf(refund.payment_intent),
    ownRefundId: ownRefundIdOf(refund),
    failureCode: refund.failure_reason ?? null,
    createdAt: new Date(refund.created * 1000),
  };
}

/**
 * The bank's transactions are in the currency of our account with Stripe, which may be another one
 * than the payment's: then each stands for all that is disputed.
 */
function toDispute(dispute: Stripe.Dispute): StripeDispute {
  const moved = (sign: 1 | -1) =>
    dispute.balance_transactions
      .filter(({ amount }) => Math.sign(amount) === sign)
      .reduce(
        (sum, { amount, currency }) =>
          sum + BigInt(currency === dispute.currency ? Math.abs(amount) : dispute.amount),
        0n,
      );
  const withdrawnMinor = moved(-1);
  const reinstatedMinor = moved(1);
  return {
    id: dispute.id,
    status: dispute.status,
    reason: dispute.reason,
    amountMinor: BigInt(dispute.amount),
    currency: dispute.currency.toUpperCase(),
    paymentIntentId: idOf(dispute.payment_intent),
    withdrawnMinor,
    // Nobody gives back more than was taken.
    reinstatedMinor: reinstatedMinor < withdrawnMinor ? reinstatedMinor : withdrawnMinor,
    createdAt: new Date(dispute.created * 1000),
  };
}

/** The part of the gateway that is about money which comes back. */
export function moneyBackGateway(stripe: Stripe): MoneyBackGateway {
  async function call<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw toGatewayError(operation, error);
    }
  }

  const retrieveRefund = (id: string) =>
    call('to read a refund', async () => toRefund(await stripe.refunds.retrieve(id)));
  const retrieveDispute = (id: string) =>
    call('to read a dispute', async () => toDispute(await stripe.disputes.retrieve(id)));

  return {
    createRefund: ({ paymentIntentId, amountMinor, ownRefundId, idempotencyKey }) =>
      call('to refund a payment', async () => {
        const amount = Number(amountMinor);
        if (!Number.isSafeInteger(amount)) {
          throw new RangeError('amountMinor is out of range');
        }
        const metadata = { walletRefundId: ownRefundId };
        return toRefund(
          await stripe.refunds.create(
            { amount, metadata, payment_intent: paymentIntentId },
            { idempotencyKey },
          ),
        );
      }),

    retrieveRefund,
    findRefund: (id) => orNull(retrieveRefund(id)),

    async listRefunds(of) {
      const params =
        'chargeId' in of ? { charge: of.chargeId } : { payment_intent: of.paymentIntentId };
      const list = stripe.refunds.list({ ...params, limit: 100 });
      const refunds: StripeRefund[] = [];
      for await (const refund of readList('to list refunds', list, toRefund)) {
        refunds.push(refund);
      }
      return refunds;
    },

    listRefundsMade: (range) =>
      readList(
        'to list refunds',
        stripe.refunds.list({ created: createdIn(range), limit: 100 }),
        toRefund,
      ),

    retrieveDispute,
    findDispute: (id) => orNull(retrieveDispute(id)),

    listDisputes: (range) =>
      readList(
        'to list disputes',
        stripe.disputes.list({ created: createdIn(range), limit: 100 }),
        toDispute,
      ),

    retrieveFraudWarning: (id) =>
      call('to read a warning of fraud', async () => {
        const warning = await stripe.radar.earlyFraudWarnings.retrieve(id);
        return {
          id: warning.id,
          fraudType: warning.fraud_type,
          actionable: warning.actionable,
          paymentIntentId: idOf(warning.payment_intent),
          createdAt: new Date(warning.created * 1000),
        };
      }),
  };
}
