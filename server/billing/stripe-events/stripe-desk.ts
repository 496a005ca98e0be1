/** What operators see of Stripe, and decide: events, payments in quarantine, differences. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { Fault } from '../../faults.ts';
import { pageOf, readTimeCursor, timeCursor } from '../../store/pages.ts';
import { findQuarantined, listQuarantine, resolveQuarantine } from '../../store/quarantine.ts';
import { lastReconciliation, openDifferences } from '../../store/reconciliation.ts';
import type { Sql } from '../../store/sql.ts';
import { findEventDetail, listEvents } from '../../store/stripe-inbox.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { StripeIntent } from '../../stripe/payment-intents.ts';
import { isUuid } from '../../uuid.ts';
import type { ResolveQuarantine, StripeDesk } from '../../views/stripe-desk.ts';
import { meaningOf } from '../reconciliation/comparisons.ts';
import { rangeOfDay } from '../reconciliation/reconciling.ts';
import type { StripeEvents } from './stripe-events.ts';
import { withoutPersonalData } from './stripe-payload.ts';

const PAGE_SIZE = 25;
const MAX_PAGE = 100;
const MAX_NOTE = 1_000;

export function createStripeDesk(options: {
  sql: Sql;
  gateway: Pick<StripeGateway, 'findIntent'>;
  stripeEvents: Pick<StripeEvents, 'replay'>;
  /** The mode of the program's own Stripe key: a payment of the other mode is never credited. */
  livemode: boolean;
  logger: Logger;
}): StripeDesk {
  const { sql, gateway, stripeEvents, livemode, logger } = options;

  /** What the payment is at Stripe now, or why a decision about it cannot be carried out. */
  async function readPayment(
    id: string,
    as: 'credited' | 'refunded' | 'dismissed',
  ): Promise<{ intent: StripeIntent } | { refusal: ResolveQuarantine }> {
    let intent: StripeIntent | null;
    try {
      intent = await gateway.findIntent(id);
    } catch (err) {
      logger.warn({ err, paymentIntentId: id }, 'payment in quarantine not read');
      return { refusal: refusal('PAYMENT_PROVIDER_UNAVAILABLE') };
    }
    if (intent === null) {
      return { refusal: refusal('NOT_FOUND') };
    }
    const refundedMinor = intent.charge?.refundedMinor ?? 0n;
    if (as === 'credited') {
      if (intent.status !== 'succeeded') return { refusal: refusal('NOT_PAID') };
      if (intent.livemode !== livemode) return { refusal: refusal('LIVEMODE_DIFFERS') };
      if (refundedMinor > 0n) return { refusal: refusal('REFUNDED_AT_STRIPE') };
      if (intent.charge?.isDisputed) return { refusal: refusal('DISPUTED_AT_STRIPE') };
    }
    if (as === 'refunded' && refundedMinor < intent.amountReceivedMinor) {
      return { refusal: refusal('NOT_REFUNDED_AT_STRIPE') };
    }
    return { intent };
  }

  return {
    async events(filter, { cursor, limit }) {
      const size = pageSize(limit);
      const before = readTimeCursor(cursor);
      const rows = await listEvents(sql, {
        filter,
        before: before && { receivedAt: before[0], eventId: before[1] },
        limit: size + 1,
      });
      const { page, nextCursor } = pageOf(rows, size, ({ cursorAt, eventId }) =>
        timeCursor(cursorAt, eventId),
      );
      return { events: page.map(({ cursorAt: _, ...event }) => event), nextCursor };
    },

    async event(eventId) {
      const found = await findEventDetail(sql, eventId);
      return found === null ? null : { ...found, payload: withoutPersonalData(found.payload) };
    },

    async replay(eventId) {
      try {
        const replayed = await stripeEvents.replay(eventId);
        return replayed === null ? null : { ok: true, outcome: replayed.outcome };
      } catch (err) {
        // It waits again, and is dispatched again like any other.
        logger.warn({ err, eventId }, 'replayed event not applied');
        return { ok: false, outcome: err instanceof Error ? err.message : 'unknown error' };
      }
    },

    async quarantine({ resolved, cursor, limit }) {
      const size = pageSize(limit);
      const before = readTimeCursor(cursor);
      const rows = await listQuarantine(sql, {
        resolved,
        before: before && { createdAt: before[0], paymentIntentId: before[1] },
        limit: size + 1,
      });
      const { page, nextCursor } = pageOf(rows, size, ({ cursorAt, payment }) =>
        timeCursor(cursorAt, payment.paymentIntentId),
      );
      return { payments: page.map(({ payment }) => payment), nextCursor };
    },

    quarantined: (paymentIntentId) => findQuarantined(sql, paymentIntentId),

    async resolve({ paymentIntentId, as, walletId, note, actor }) {
      const why = note.trim();
      if (why === '' || why.length > MAX_NOTE) {
        throw new Fault('BAD_REQUEST', { publicMessage: 'note: must have 1 to 1,000 characters' });
      }
      if (as === 'credited' && !isUuid(walletId ?? '')) {
        return refusal('WALLET_NOT_FOUND');
      }
      const read = await readPayment(paymentIntentId, as);
      if ('refusal' in read) {
        return read.refusal;
      }
      const { intent } = read;
      const { code, replayed, seq } = await resolveQuarantine(sql, {
        paymentIntentId,
        as,
        note: why,
        actor,
        walletId: as === 'credited' ? walletId : null,
        topUpId: randomUUID(),
        currency: intent.currency,
        amountReceivedMinor: intent.amountReceivedMinor,
        livemode: intent.livemode,
        occurredAt: intent.createdAt,
      });
      if (code !== 'OK') {
        return refusal(code);
      }
      logger.info({ paymentIntentId, as, actor, replayed }, 'payment in quarantine resolved');
      return { ok: true, replayed, seq };
    },

    async differences({ cursor, limit }) {
      const size = pageSize(limit);
      const before = /^[1-9]\d{0,17}$/.test(cursor ?? '') ? BigInt(cursor ?? 0) : null;
      const [rows, last] = await Promise.all([
        openDifferences(sql, { before, limit: size + 1 }),
        lastReconciliation(sql),
      ]);
      const { page, nextCursor } = pageOf(rows, size, ({ id }) => id.toString());
      return {
        differences: page.map(({ atStripe, inLedger, resolvedAt: _, ...difference }) => ({
          ...difference,
          meaning: meaningOf(difference.kind, difference.problem),
          atStripe: atStripe && { ...atStripe },
          inLedger: inLedger && { ...inLedger },
        })),
        nextCursor,
        compared: last && { at: last.finishedAt, ...rangeOfDay(last.day) },
      };
    },
  };
}

type Refusal = Extract<ResolveQuarantine, { ok: false }>;

function refusal(code: Refusal['code']): Refusal {
  return { ok: false, code, message: MESSAGES[code] };
}

const MESSAGES: Readonly<Record<Refusal['code'], string>> = {
  NOT_FOUND: 'Stripe or the quarantine knows no such payment.',
  ALREADY_RESOLVED: 'Somebody has decided about this payment already.',
  ALREADY_CREDITED: 'This payment is credited already.',
  WALLET_NOT_FOUND: 'There is no such wallet.',
  WALLET_CLOSED: 'This wallet is closed.',
  CURRENCY_DIFFERS: 'The payment is in another currency than the wallet.',
  LIVEMODE_DIFFERS: "The payment is of Stripe's other mode and is never credited here.",
  CHANGED_AT_STRIPE: 'Stripe now says something else of this payment than it did.',
  NOT_PAID: 'Stripe does not say that this payment succeeded.',
  REFUNDED_AT_STRIPE: 'The payment was refunded at Stripe, in part or whole.',
  DISPUTED_AT_STRIPE: 'The payment is disputed.',
  NOT_REFUNDED_AT_STRIPE: 'Stripe has not refunded all of this payment yet: refund it there first.',
  PAYMENT_PROVIDER_UNAVAILABLE: 'Stripe does not answer. Nothing was decided; please try again.',
};

function pageSize(limit: number | undefined): number {
  return Math.min(Math.max(limit ?? PAGE_SIZE, 1), MAX_PAGE);
}
