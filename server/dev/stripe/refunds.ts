import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { formatAmount } from './currencies.ts';
import { invalidRequest, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { listRoute, readRoute } from './lists.ts';
import { newBalanceTransaction, newRefund } from './objects.ts';
import { integer, mergeMetadata, metadata, nonEmpty } from './params.ts';
import { cardRecord } from './payment-methods.ts';
import { type Route, route } from './route.ts';

const createSchema = z.strictObject({
  amount: integer.optional(),
  charge: nonEmpty.optional(),
  payment_intent: nonEmpty.optional(),
  metadata: metadata.optional(),
  reason: z.enum(['duplicate', 'fraudulent', 'requested_by_customer']).optional(),
});

function chargeToRefund(call: Call, params: z.infer<typeof createSchema>): Stripe.Charge {
  if ((params.charge === undefined) === (params.payment_intent === undefined)) {
    throw invalidRequest('You must provide one of payment_intent or charge.');
  }
  if (params.charge !== undefined) {
    const charge = call.store.get('charge', params.charge);
    if (!charge) throw noSuch('charge', params.charge, 'charge', 400);
    return charge;
  }
  const intentId = params.payment_intent ?? '';
  const intent = call.store.get('payment_intent', intentId);
  if (!intent) throw noSuch('payment_intent', intentId, 'payment_intent', 400);
  const charge =
    typeof intent.latest_charge === 'string'
      ? call.store.get('charge', intent.latest_charge)
      : undefined;
  if (!charge) {
    throw invalidRequest(
      `This PaymentIntent (${intentId}) does not have a successful charge to refund.`,
      { code: 'payment_intent_unexpected_state' },
    );
  }
  return charge;
}

function setRefunded(call: Call, charge: Stripe.Charge, amountRefunded: number): Stripe.Charge {
  return call.store.put('charge', charge.id, {
    ...charge,
    amount_refunded: amountRefunded,
    refunded: amountRefunded === charge.amount,
  });
}

/** Refunds a charge, by default all that is left of it. More than is left is refused. */
export function createRefund(call: Call, params: z.infer<typeof createSchema>): Stripe.Refund {
  const charge = chargeToRefund(call, params);
  if (!charge.paid) {
    throw invalidRequest(`Charge ${charge.id} was not paid and cannot be refunded.`, {
      code: 'charge_not_refundable',
    });
  }
  const left = charge.amount - charge.amount_refunded;
  if (left === 0) {
    throw invalidRequest(`Charge ${charge.id} has already been refunded.`, {
      code: 'charge_already_refunded',
    });
  }
  if (charge.disputed && !disputesAllowRefund(call, charge.id)) {
    throw invalidRequest(`Charge ${charge.id} has been charged back; cannot issue a refund.`, {
      code: 'charge_disputed',
    });
  }
  const amount = params.amount ?? left;
  if (amount < 1) {
    throw invalidRequest('Invalid positive integer', {
      code: 'parameter_invalid_integer',
      param: 'amount',
    });
  }
  if (amount > left) {
    throw invalidRequest(
      `Refund amount (${formatAmount(amount, charge.currency)}) is greater than unrefunded amount on charge (${formatAmount(left, charge.currency)})`,
      { param: 'amount' },
    );
  }
  return refund(call, charge, amount, params);
}

function disputesAllowRefund(call: Call, chargeId: string): boolean {
  return call.store
    .all('dispute')
    .filter((dispute) => dispute.charge === chargeId)
    .every((dispute) => dispute.is_charge_refundable || dispute.status === 'won');
}

function refund(
  call: Call,
  charge: Stripe.Charge,
  amount: number,
  params: z.infer<typeof createSchema>,
): Stripe.Refund {
  const transaction = newBalanceTransaction(call.nowSeconds, {
    amount: -amount,
    currency: charge.currency,
    description: 'REFUND FOR CHARGE',
    fee: 0,
    reporting_category: 'refund',
    source: charge.id,
    type: 'refund',
  });
  call.store.put('balance_transaction', transaction.id, transaction);
  const behaviour = charge.payment_method
    ? cardRecord(call, charge.payment_method).behaviour
    : 'succeeds';
  const made = newRefund(call.nowSeconds, {
    amount,
    balance_transaction: transaction.id,
    charge: charge.id,
    metadata: mergeMetadata({}, params.metadata),
    of: charge,
    reason: params.reason ?? null,
    status: behaviour === 'refund_pending' ? 'pending' : 'succeeded',
  });
  call.store.put('refund', made.id, made);
  const refunded = setRefunded(call, charge, charge.amount_refunded + amount);
  emit(call, 'refund.created', made);
  emit(call, 'charge.refunded', refunded, { amount_refunded: charge.amount_refunded });
  if (behaviour === 'refund_pending') settleRefund(call, made.id);
  if (behaviour === 'refund_fails') failRefund(call, made.id);
  return made;
}

/** A pending refund reaches the card. */
function settleRefund(call: Call, refundId: string): Stripe.Refund {
  const current = call.store.get('refund', refundId);
  if (!current) throw noSuch('refund', refundId);
  if (current.status !== 'pending') {
    throw invalidRequest(`A refund that is ${current.status} cannot succeed.`);
  }
  const settled = call.store.put('refund', refundId, { ...current, status: 'succeeded' });
  emit(call, 'refund.updated', settled, { status: 'pending' });
  return settled;
}

/** The card's bank sends the money back: the charge counts as not refunded by that much. */
export function failRefund(call: Call, refundId: string): Stripe.Refund {
  const current = call.store.get('refund', refundId);
  if (!current) throw noSuch('refund', refundId);
  if (current.status !== 'succeeded' && current.status !== 'pending') {
    throw invalidRequest(`A refund that is ${current.status} cannot fail.`);
  }
  const charge =
    typeof current.charge === 'string' ? call.store.get('charge', current.charge) : undefined;
  if (!charge) throw noSuch('charge', String(current.charge));
  const transaction = newBalanceTransaction(call.nowSeconds, {
    amount: current.amount,
    currency: current.currency,
    description: 'REFUND FAILURE',
    fee: 0,
    reporting_category: 'refund_failure',
    source: current.id,
    type: 'refund_failure',
  });
  call.store.put('balance_transaction', transaction.id, transaction);
  const failed = call.store.put('refund', refundId, {
    ...current,
    failure_balance_transaction: transaction.id,
    failure_reason: 'expired_or_canceled_card',
    status: 'failed',
  });
  const updated = setRefunded(call, charge, charge.amount_refunded - current.amount);
  emit(call, 'charge.refund.updated', failed, { status: current.status });
  emit(call, 'refund.updated', failed, { status: current.status });
  emit(call, 'refund.failed', failed);
  emit(call, 'charge.updated', updated, { amount_refunded: charge.amount_refunded });
  return failed;
}

export const refundRoutes: Route[] = [
  route('POST', '/v1/refunds', createSchema, createRefund),
  listRoute('/v1/refunds', 'refund', ['charge', 'payment_intent']),
  readRoute('/v1/refunds', 'refund'),
];
