import type Stripe from 'stripe';
import { z } from 'zod';
import { automaticCall, type World } from './call.ts';
import type { CardBehaviour } from './cards.ts';
import { closeDispute, type DisputeEnd, escalateInquiry, openDispute } from './disputes.ts';
import { invalidRequest, noSuch } from './errors.ts';
import type { ApiFault, DeliveryFault } from './faults.ts';
import { warnOfFraud } from './fraud-warnings.ts';
import type { DisputeStart } from './objects-charge.ts';
import { renewCard } from './payment-methods.ts';
import { createRefund, failRefund } from './refunds.ts';
import type { Delivery } from './store.ts';

/** What a test or a developer makes happen that Stripe's API has no call for. */
export interface StripeControls {
  /** The next `count` deliveries of webhooks, of one event type if given, go wrong. */
  webhooks(
    fault: DeliveryFault,
    options?: { count?: number; eventType?: string; delayMs?: number },
  ): void;
  /** The next `count` writing API calls, under a path if given, go wrong. */
  api(fault: ApiFault, options?: { count?: number; pathPrefix?: string }): void;
  /** The next payment is declined, whatever the card. */
  declineNext(behaviour?: CardBehaviour): void;
  disputeCharge(
    chargeId: string,
    options?: { status?: DisputeStart; amount?: number },
  ): Stripe.Dispute;
  /** The bank makes a dispute of its inquiry. */
  escalateInquiry(disputeId: string): Stripe.Dispute;
  closeDispute(disputeId: string, end: DisputeEnd): Stripe.Dispute;
  /** The card network's early warning that a payment is fraud. */
  warnOfFraud(chargeId: string): Stripe.Radar.EarlyFraudWarning;
  /** A refund made in Stripe's dashboard rather than through the API. Amount in minor units. */
  refundCharge(chargeId: string, amount?: number): Stripe.Refund;
  failRefund(refundId: string): Stripe.Refund;
  /** The card's bank renews it, and the network tells Stripe. */
  renewCard(paymentMethodId: string): Stripe.PaymentMethod;
  /** Sends an event once more, under its own id. */
  redeliver(eventId: string): void;
  /** Events, newest first, with what became of each delivery. */
  events(limit?: number): { event: Stripe.Event; deliveries: Delivery[] }[];
  /** Forgets every fault that has not happened yet. */
  clearFaults(): void;
}

export function createControls(world: World): StripeControls {
  return {
    webhooks: (fault, options) => world.faults.addDelivery(fault, options),
    api: (fault, options) => world.faults.addApi(fault, options),
    declineNext: (behaviour) => world.faults.addDecline(behaviour),
    disputeCharge: (chargeId, options) => openDispute(automaticCall(world), chargeId, options),
    escalateInquiry: (disputeId) => escalateInquiry(automaticCall(world), disputeId),
    closeDispute: (disputeId, end) => closeDispute(automaticCall(world), disputeId, end),
    warnOfFraud: (chargeId) => warnOfFraud(automaticCall(world), chargeId),
    refundCharge: (charge, amount) => createRefund(automaticCall(world), { charge, amount }),
    failRefund: (refundId) => failRefund(automaticCall(world), refundId),
    renewCard: (paymentMethodId) => renewCard(automaticCall(world), paymentMethodId),
    redeliver: (eventId) => {
      if (!world.store.get('event', eventId)) throw noSuch('event', eventId);
      world.webhooks.redeliver(eventId);
    },
    events: (limit = 50) =>
      world.store
        .all('event')
        .slice(-limit)
        .reverse()
        .map((event) => ({ event, deliveries: world.webhooks.deliveriesOf(event.id) })),
    clearFaults: () => world.faults.clear(),
  };
}

const count = z.number().int().min(1).max(1000).optional();
const minorUnits = z.number().int().positive().optional();

const commands = {
  webhooks: z.strictObject({
    fault: z.enum(['duplicate', 'delay', 'reorder', 'drop']),
    count,
    eventType: z.string().optional(),
    delayMs: z.number().int().min(0).optional(),
  }),
  api: z.strictObject({
    fault: z.enum([
      'error_after_commit',
      'cut_after_commit',
      'hang_after_commit',
      'error_before_commit',
      'rate_limit',
      'refused',
    ]),
    count,
    pathPrefix: z.string().optional(),
  }),
  'decline-next': z.strictObject({
    behaviour: z
      .enum([
        'generic_decline',
        'insufficient_funds',
        'lost_card',
        'stolen_card',
        'closed_account',
        'expired_card',
        'incorrect_cvc',
        'processing_error',
        'blocked',
      ])
      .optional(),
  }),
  'dispute-charge': z.strictObject({
    charge: z.string(),
    status: z.enum(['needs_response', 'warning_needs_response']).optional(),
    amount: minorUnits,
  }),
  'escalate-inquiry': z.strictObject({ dispute: z.string() }),
  'close-dispute': z.strictObject({
    dispute: z.string(),
    end: z.enum(['won', 'lost', 'warning_closed']),
  }),
  'warn-of-fraud': z.strictObject({ charge: z.string() }),
  'refund-charge': z.strictObject({ charge: z.string(), amount: minorUnits }),
  'fail-refund': z.strictObject({ refund: z.string() }),
  'renew-card': z.strictObject({ card: z.string() }),
  redeliver: z.strictObject({ event: z.string() }),
  'clear-faults': z.strictObject({}),
};

type Command = keyof typeof commands;

function parse<Name extends Command>(name: Name, body: unknown): z.infer<(typeof commands)[Name]> {
  const result = commands[name].safeParse(body);
  if (!result.success) throw invalidRequest(z.prettifyError(result.error));
  return result.data as z.infer<(typeof commands)[Name]>;
}

/** Without the keys whose value is undefined, which the controls' options do not take. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

/**
 * Carries out `POST /_control/<command>` with a JSON body; the commands are the controls of the
 * same names, so that another process can use them.
 */
export function runCommand(controls: StripeControls, command: string, body: unknown): unknown {
  switch (command) {
    case 'webhooks': {
      const { fault, ...options } = parse(command, body);
      controls.webhooks(fault, defined(options));
      return { ok: true };
    }
    case 'api': {
      const { fault, ...options } = parse(command, body);
      controls.api(fault, defined(options));
      return { ok: true };
    }
    case 'decline-next':
      controls.declineNext(parse(command, body).behaviour);
      return { ok: true };
    case 'dispute-charge': {
      const { charge, ...options } = parse(command, body);
      return controls.disputeCharge(charge, defined(options));
    }
    case 'escalate-inquiry':
      return controls.escalateInquiry(parse(command, body).dispute);
    case 'close-dispute': {
      const { dispute, end } = parse(command, body);
      return controls.closeDispute(dispute, end);
    }
    case 'warn-of-fraud':
      return controls.warnOfFraud(parse(command, body).charge);
    case 'refund-charge': {
      const { charge, amount } = parse(command, body);
      return controls.refundCharge(charge, amount);
    }
    case 'fail-refund':
      return controls.failRefund(parse(command, body).refund);
    case 'renew-card':
      return controls.renewCard(parse(command, body).card);
    case 'redeliver':
      controls.redeliver(parse(command, body).event);
      return { ok: true };
    case 'clear-faults':
      parse(command, body);
      controls.clearFaults();
      return { ok: true };
    default:
      throw noSuch('command', command);
  }
}
