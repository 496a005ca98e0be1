/** From Stripe's webhook to the ledger: receive, apply, and dispatch again what is not applied. */
import type { Logger } from 'pino';
import { Fault } from '../../faults.ts';
import { forgetStripeCustomer } from '../../store/saved-cards.ts';
import type { Sql } from '../../store/sql.ts';
import {
  claimEvents,
  failEvent,
  findEvent,
  finishEvent,
  type InboxEvent,
  releaseEvents,
  replayEvent,
  storeEvent,
} from '../../store/stripe-inbox.ts';
import { applyTopUp, recordTopUpAttempt, unsettledIntents } from '../../store/top-ups.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { StripeIntent } from '../../stripe/payment-intents.ts';
import { isUuid } from '../../uuid.ts';
import { type Background, everyInterval } from '../background.ts';
import { createMoneyBack, type Ending, type MoneyBack } from '../money-back/money-back.ts';
import { CARD_EVENTS, readCards } from '../saved-cards/card-reading.ts';
import { topUpStatusOf } from '../top-ups/top-ups.ts';

/**
 * An event that still cannot be applied this long after it came waits for a person. It is a time and
 * no count of failures: every dispatch is tried several times, so an outage of Stripe, or a key that
 * was revoked, would use a count up in an hour or two and leave payments uncredited.
 */
const GIVE_UP_AFTER_SECONDS = 7 * 24 * 60 * 60;

/** Webhooks have this long before the sweep asks Stripe by itself. */
const SWEEP_PATIENCE_MS = 10 * 60_000;
/** How far back the sweep asks. */
const SWEEP_REACH_MS = 72 * 3_600_000;
const SWEEP_LIMIT = 500;

/** The part of a Stripe event that is used; everything else is read again from Stripe. */
export interface ReceivedEvent {
  readonly id: string;
  readonly type: string;
  readonly livemode: boolean;
  readonly apiVersion: string | null;
  readonly objectId: string | null;
  /** The body as it was signed. */
  readonly payload: string;
}

export interface StripeEvents {
  /** Stores a verified event; false when it was stored before. */
  receive(event: ReceivedEvent): Promise<boolean>;
  /** Applies a stored event. Safe to repeat, at any time and in any order. */
  apply(eventId: string): Promise<{ outcome: string }>;
  /** Brings a payment's top-up to what Stripe says of it now. Safe to repeat. */
  applyPayment(paymentIntentId: string): Promise<{ outcome: string }>;
  /** Brings the ledger to what was read of a refund, or of a dispute. Safe to repeat. */
  applyRefund: MoneyBack['applyRefund'];
  applyDispute: MoneyBack['applyDispute'];
  /**
   * Asks Stripe about every top-up of the last three days whose end no event has told, so that a
   * payment is credited even when its webhooks never come. Returns how many it asked about.
   */
  sweep(now: Date): Promise<number>;
  /** Applies a stored event again, whatever became of it; null when there is none of this id. */
  replay(eventId: string): Promise<{ outcome: string } | null>;
}

export function createStripeEvents(options: { sql: Sql; gateway: StripeGateway }): StripeEvents {
  const { sql, gateway } = options;

  /** Credits a payment that has succeeded, or puts it in quarantine. */
  const credit = (intent: StripeIntent, topUpId: string) =>
    applyTopUp(sql, {
      paymentIntentId: intent.id,
      topUpId: isUuid(topUpId) ? topUpId : null,
      customerId: intent.customerId,
      currency: intent.currency,
      amountReceivedMinor: intent.amountReceivedMinor,
      livemode: intent.livemode,
      actor: `stripe:${intent.id}`,
      occurredAt: intent.createdAt,
    });

  const moneyBack = createMoneyBack({
    sql,
    gateway,
    async creditPayment(paymentIntentId) {
      const intent = await gateway.retrieveIntent(paymentIntentId);
      const { topUpId, status } = intent;
      if (topUpId === null) {
        return { isOurs: false, isCredited: false };
      }
      if (status !== 'succeeded') {
        // Nothing comes back of a payment that was never made: what was read is old.
        throw new Error(`money of a payment came back that was still read as ${status}`);
      }
      const { code } = await credit(intent, topUpId);
      return { isOurs: true, isCredited: code !== 'QUARANTINED' };
    },
  });

  /**
   * Brings a top-up to what Stripe says of its payment now. The event only says where to look: its
   * own copy of the intent may be older than one that has been applied.
   */
  async function applyPaymentIntent(
    paymentIntentId: string,
    eventType: string | null,
  ): Promise<string> {
    const intent = await gateway.retrieveIntent(paymentIntentId);
    const { topUpId } = intent;
    if (topUpId === null) {
      // The Stripe account may serve other products, too.
      return 'not a top-up';
    }
    const status = topUpStatusOf(intent.status);
    if (status === 'succeeded') {
      const applied = await credit(intent, topUpId);
      return applied.reason === null ? applied.code : `${applied.code}: ${applied.reason}`;
    }
    if (eventType === 'payment_intent.succeeded') {
      // A success is final: what was read is old. Closing the event now would lose the credit.
      throw new Error(`the payment succeeded and was still read as ${intent.status}`);
    }
    if (!isUuid(topUpId)) {
      return 'no top-up of ours';
    }
    const failed = status === 'created' && intent.lastError !== null;
    await recordTopUpAttempt(sql, {
      topUpId,
      paymentIntentId: intent.id,
      status: failed ? 'failed' : status,
      failureCode: intent.lastError?.code ?? null,
      failureMessage: intent.lastError?.message ?? null,
    });
    return failed ? 'failed' : status;
  }

  /** Brings the saved cards of the event's customer to what Stripe has. */
  async function applyCardEvent({ type, customerId }: InboxEvent): Promise<string> {
    if (customerId === null) {
      // Cards of nobody, and those that other products take without a customer.
      return 'no customer';
    }
    if (type === 'customer.deleted') {
      // Stripe never brings one back, so there is nothing to read again.
      await forgetStripeCustomer(sql, customerId);
      return 'customer deleted';
    }
    return readCards({ sql, gateway }, customerId);
  }

  async function ending(event: InboxEvent): Promise<Ending> {
    if (CARD_EVENTS.has(event.type)) {
      return { status: 'applied', outcome: await applyCardEvent(event) };
    }
    if (event.type.startsWith('payment_intent.') && event.objectId !== null) {
      return { status: 'applied', outcome: await applyPaymentIntent(event.objectId, event.type) };
    }
    const nothing = { status: 'ignored', outcome: 'moves no money' } as const;
    return (await moneyBack.apply(event)) ?? nothing;
  }

  const events: StripeEvents = {
    async replay(eventId) {
      return (await replayEvent(sql, eventId)) ? events.apply(eventId) : null;
    },

    receive: (event) =>
      storeEvent(sql, {
        eventId: event.id,
        type: event.type,
        objectId: event.objectId,
        livemode: event.livemode,
        apiVersion: event.apiVersion,
        payload: event.payload,
      }),

    async apply(eventId) {
      const event = await findEvent(sql, eventId);
      if (event === null) {
        throw new Fault('NOT_FOUND', { publicMessage: 'There is no such event in the inbox.' });
      }
      if (event.status !== 'waiting' && event.status !== 'dead') {
        return { outcome: event.outcome ?? event.status };
      }
      try {
        const { status, outcome } = await ending(event);
        await finishEvent(sql, eventId, status, outcome);
        return { outcome };
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'unknown error';
        await failEvent(sql, eventId, reason.slice(0, 500), GIVE_UP_AFTER_SECONDS);
        throw error;
      }
    },

    applyPayment: async (paymentIntentId) => ({
      outcome: await applyPaymentIntent(paymentIntentId, null),
    }),

    applyRefund: moneyBack.applyRefund,
    applyDispute: moneyBack.applyDispute,

    async sweep(now) {
      const intents = await unsettledIntents(sql, {
        after: new Date(now.getTime() - SWEEP_REACH_MS),
        before: new Date(now.getTime() - SWEEP_PATIENCE_MS),
        limit: SWEEP_LIMIT,
      });
      const failures: unknown[] = [];
      for (const intent of intents) {
        await applyPaymentIntent(intent, null).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) {
        // The others are settled; these come up again.
        throw new AggregateError(failures, `${failures.length} of ${intents.length} not settled`);
      }
      return intents.length;
    },
  };
  return events;
}

/**
 * Sends every stored event that is not applied to Inngest again, ever more rarely. Each dispatch
 * has an id of its own, because Inngest drops an event whose id it saw in the last 24 hours, even
 * when that one's run failed. What Inngest did not take is due again at once: only events that it
 * took and that were not applied are sent ever more rarely.
 */
export function createStripeDispatcher(options: {
  sql: Sql;
  send: (event: { eventId: string; dispatchId: string }) => Promise<void>;
  intervalMs: number;
  logger: Logger;
}): Background & { tick(): Promise<number> } {
  const { sql, send, intervalMs, logger } = options;

  async function tick(): Promise<number> {
    const due = await claimEvents(sql, 100);
    for (const [index, { eventId, dispatch }] of due.entries()) {
      try {
        await send({ eventId, dispatchId: `${eventId}:${dispatch}` });
      } catch (error) {
        const unsent = due.slice(index).map((event) => event.eventId);
        await releaseEvents(sql, unsent);
        throw error;
      }
    }
    return due.length;
  }

  return {
    tick,
    ...everyInterval(tick, intervalMs, (err) => logger.warn({ err }, 'stripe dispatch failed')),
  };
}
