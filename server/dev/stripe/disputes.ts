import type Stripe from 'stripe';
import { z } from 'zod';
import type { Call } from './call.ts';
import { invalidRequest, noSuch } from './errors.ts';
import { emit } from './events.ts';
import { listRoute, readRoute } from './lists.ts';
import { newBalanceTransaction } from './objects.ts';
import { type DisputeStart, newDispute } from './objects-charge.ts';
import { boolean, mergeMetadata, metadata } from './params.ts';
import { type Route, route } from './route.ts';

/** Stripe's fee for a dispute, in minor units. */
const DISPUTE_FEE = 1500;

export type DisputeEnd = 'won' | 'lost' | 'warning_closed';

const OPEN_STATUSES: readonly string[] = ['needs_response', 'under_review'];
const OPEN_INQUIRY_STATUSES: readonly string[] = ['warning_needs_response', 'warning_under_review'];

function moveFunds(call: Call, dispute: Stripe.Dispute, sign: 1 | -1): Stripe.Dispute {
  const transaction = newBalanceTransaction(call.nowSeconds, {
    amount: sign * dispute.amount,
    currency: dispute.currency,
    description: sign < 0 ? 'Chargeback withdrawal' : 'Chargeback reversal',
    fee: sign < 0 ? DISPUTE_FEE : 0,
    reporting_category: sign < 0 ? 'dispute' : 'dispute_reversal',
    source: dispute.id,
    type: 'adjustment',
  });
  call.store.put('balance_transaction', transaction.id, transaction);
  return call.store.put('dispute', dispute.id, {
    ...dispute,
    balance_transactions: [...dispute.balance_transactions, transaction],
  });
}

/**
 * The cardholder's bank disputes a charge. A real dispute takes the money away at once; an
 * inquiry (`warning_needs_response`) takes none.
 */
export function openDispute(
  call: Call,
  chargeId: string,
  options: { status?: DisputeStart | undefined; amount?: number | undefined } = {},
): Stripe.Dispute {
  const charge = call.store.get('charge', chargeId);
  if (!charge) throw noSuch('charge', chargeId);
  if (!charge.paid || charge.disputed) {
    throw invalidRequest(`Charge ${chargeId} cannot be disputed: unpaid or disputed already.`);
  }
  const amount = options.amount ?? charge.amount;
  if (amount < 1 || amount > charge.amount) {
    throw invalidRequest('A dispute cannot exceed its charge.', { param: 'amount' });
  }
  const status = options.status ?? 'needs_response';
  call.store.put('charge', chargeId, { ...charge, disputed: true });
  const dispute = newDispute({ nowSeconds: call.nowSeconds, charge, amount, status });
  call.store.put('dispute', dispute.id, dispute);
  emit(call, 'charge.dispute.created', dispute);
  if (status === 'warning_needs_response') return dispute;
  const withdrawn = moveFunds(call, dispute, -1);
  emit(call, 'charge.dispute.funds_withdrawn', withdrawn);
  return withdrawn;
}

/** The bank makes a dispute of its inquiry, and takes the money. */
export function escalateInquiry(call: Call, disputeId: string): Stripe.Dispute {
  const inquiry = call.store.get('dispute', disputeId);
  if (!inquiry) throw noSuch('dispute', disputeId);
  if (!OPEN_INQUIRY_STATUSES.includes(inquiry.status)) {
    throw invalidRequest(`A dispute that is ${inquiry.status} cannot be escalated.`);
  }
  const dispute = call.store.put('dispute', disputeId, {
    ...inquiry,
    is_charge_refundable: false,
    status: 'needs_response',
  });
  emit(call, 'charge.dispute.updated', dispute, { status: inquiry.status });
  const withdrawn = moveFunds(call, dispute, -1);
  emit(call, 'charge.dispute.funds_withdrawn', withdrawn);
  return withdrawn;
}

/** Ends a dispute; one that is won gets its money back, an inquiry can only be closed. */
export function closeDispute(call: Call, disputeId: string, end: DisputeEnd): Stripe.Dispute {
  const dispute = call.store.get('dispute', disputeId);
  if (!dispute) throw noSuch('dispute', disputeId);
  const closable = end === 'warning_closed' ? OPEN_INQUIRY_STATUSES : OPEN_STATUSES;
  if (!closable.includes(dispute.status)) {
    throw invalidRequest(`A dispute that is ${dispute.status} cannot become ${end}.`);
  }
  const closed = call.store.put('dispute', disputeId, { ...dispute, status: end });
  emit(call, 'charge.dispute.closed', closed);
  if (end !== 'won') return closed;
  const reinstated = moveFunds(call, closed, 1);
  emit(call, 'charge.dispute.funds_reinstated', reinstated);
  return reinstated;
}

const updateSchema = z.strictObject({
  evidence: z.strictObject({ uncategorized_text: z.string().optional() }).optional(),
  metadata: metadata.optional(),
  submit: boolean.optional(),
});

/** Evidence is judged at once when its text is one of the two magic words of Stripe's test mode. */
function update(call: Call, id: string, params: z.infer<typeof updateSchema>): Stripe.Dispute {
  const dispute = call.store.get('dispute', id);
  if (!dispute) throw noSuch('dispute', id);
  const text = params.evidence?.uncategorized_text ?? dispute.evidence.uncategorized_text;
  const open = [...OPEN_STATUSES, ...OPEN_INQUIRY_STATUSES].includes(dispute.status);
  if (params.evidence && !open) {
    throw invalidRequest('This dispute is already closed.', { code: 'dispute_closed' });
  }
  const submit = params.evidence !== undefined && params.submit !== false;
  const inquiry = OPEN_INQUIRY_STATUSES.includes(dispute.status);
  const updated = call.store.put('dispute', id, {
    ...dispute,
    evidence: { ...dispute.evidence, uncategorized_text: text },
    evidence_details: {
      ...dispute.evidence_details,
      has_evidence: text !== null,
      submission_count: dispute.evidence_details.submission_count + (submit ? 1 : 0),
      submission_method: submit ? 'manual' : dispute.evidence_details.submission_method,
    },
    metadata: mergeMetadata(dispute.metadata, params.metadata),
    status: submit ? (inquiry ? 'warning_under_review' : 'under_review') : dispute.status,
  });
  emit(call, 'charge.dispute.updated', updated, { evidence: dispute.evidence });
  if (!submit) return updated;
  if (text === 'winning_evidence')
    return closeDispute(call, id, inquiry ? 'warning_closed' : 'won');
  if (text === 'losing_evidence' && !inquiry) return closeDispute(call, id, 'lost');
  return updated;
}

export const disputeRoutes: Route[] = [
  listRoute('/v1/disputes', 'dispute', ['charge', 'payment_intent']),
  readRoute('/v1/disputes', 'dispute'),
  route('POST', '/v1/disputes/:id', updateSchema, (call, params, id) => update(call, id, params)),
  route('POST', '/v1/disputes/:id/close', z.strictObject({}), (call, _params, id) =>
    closeDispute(call, id, 'lost'),
  ),
];
