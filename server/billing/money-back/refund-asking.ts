/** Carries refunds whose money is reserved to their end at Stripe, whatever is known of them there. */
import type { Logger } from 'pino';
import { minorFromMicros } from '../../ledger/money.ts';
import {
  findReservedRefund,
  type ReservedRefund,
  releasePaymentRefund,
  type UnfinishedRefund,
} from '../../store/payment-refunds.ts';
import type { Sql } from '../../store/sql.ts';
import type { MoneyBackGateway, StripeRefund } from '../../stripe/money-back.ts';
import { isRefusalOfRequest } from '../stripe-events/stripe-refusals.ts';
import { exponentOf } from '../wallets/currencies.ts';
import { applyStripeRefund } from './money-back.ts';

export interface ReservedRefundName {
  readonly walletId: string;
  readonly refundId: string;
}

export interface RefundAsking {
  /**
   * Asks Stripe for a refund that was reserved a moment ago. Resolves in any case: a refund of which
   * Stripe says nothing stays reserved and is taken up again later.
   */
  ask(refund: ReservedRefundName): Promise<void>;
  /** Takes up a refund that Stripe may have made already, and reads again one that it has made. */
  askAgain(refund: UnfinishedRefund): Promise<void>;
  /** Resolves when what has begun is at rest. */
  settled(): Promise<void>;
}

/**
 * The money is taken before Stripe is asked, and goes back into the wallet only when Stripe says no.
 * Whatever else happens (a timeout, a 500, a process that dies, a key that is revoked) the refund may
 * have been made, so it stays taken. Before the refund is asked for again, Stripe's list is searched
 * for it: Stripe forgets an idempotency key after a day, a refund never.
 * @see https://docs.stripe.com/api/idempotent_requests
 */
export function createRefundAsking(options: {
  sql: Sql;
  gateway: Pick<MoneyBackGateway, 'createRefund' | 'listRefunds' | 'retrieveRefund'>;
  logger: Logger;
}): RefundAsking {
  const { sql, gateway, logger } = options;
  const running = new Set<Promise<void>>();

  function follow(name: ReservedRefundName, work: Promise<void>): Promise<void> {
    const { walletId, refundId } = name;
    const done = work.catch((err: unknown) =>
      logger.warn({ err, walletId, refundId }, 'refund not finished'),
    );
    running.add(done);
    return done.finally(() => running.delete(done));
  }

  async function carryOut(name: ReservedRefundName, mayBeMade: boolean): Promise<void> {
    const refund = await findReservedRefund(sql, name.walletId, name.refundId);
    if (refund === null) {
      return;
    }
    const amountMinor = minorOf(refund);
    const made = mayBeMade ? await findMade(refund, amountMinor) : null;
    if (made !== null) {
      return apply(refund, made);
    }
    try {
      await apply(
        refund,
        await gateway.createRefund({
          paymentIntentId: refund.paymentIntentId,
          amountMinor,
          ownRefundId: refund.refundId,
          idempotencyKey: `refund_${refund.refundId}`,
        }),
      );
    } catch (error) {
      if (!isRefusalOfRequest(error)) {
        throw error;
      }
      await release(refund, error.providerCode ?? 'refused');
    }
  }

  /** What no webhook has told of a refund that Stripe has made. */
  async function readAgain(
    { walletId, refundId }: ReservedRefundName,
    stripeRefundId: string,
  ): Promise<void> {
    const made = await gateway.retrieveRefund(stripeRefundId);
    if (made.paymentIntentId === null) {
      throw new Error('a refund of a top-up is one of a payment');
    }
    await apply({ walletId, refundId, paymentIntentId: made.paymentIntentId }, made);
  }

  async function findMade(
    { refundId, paymentIntentId }: ReservedRefund,
    amountMinor: bigint,
  ): Promise<StripeRefund | null> {
    const refunds = await gateway.listRefunds({ paymentIntentId });
    const isIt = (made: StripeRefund) =>
      made.ownRefundId === refundId && made.amountMinor === amountMinor;
    return refunds.find(isIt) ?? null;
  }

  /** The webhook may have been quicker: then nothing moves. */
  async function apply(
    refund: Pick<ReservedRefund, 'walletId' | 'refundId' | 'paymentIntentId'>,
    made: StripeRefund,
  ): Promise<void> {
    const { code } = await applyStripeRefund(sql, made, refund.paymentIntentId);
    if (code !== 'OK') {
      throw new Error(`the refund that was asked for is ${code}`);
    }
    const { walletId, refundId } = refund;
    logger.info({ walletId, refundId, status: made.status }, 'refund made');
  }

  async function release({ walletId, refundId }: ReservedRefund, code: string): Promise<void> {
    const detail = { reason: 'The card processor refused it', failureCode: code };
    await releasePaymentRefund(sql, {
      walletId,
      refundId,
      failureCode: code,
      actor: 'system:refunds',
      detail,
    });
    logger.warn({ walletId, refundId, code }, 'refund refused');
  }

  return {
    ask: (refund) => follow(refund, carryOut(refund, false)),
    askAgain: (refund) =>
      follow(
        refund,
        refund.stripeRefundId === null
          ? carryOut(refund, true)
          : readAgain(refund, refund.stripeRefundId),
      ),
    async settled() {
      await Promise.all(running);
    },
  };
}

function minorOf({ amountMicros, currency }: ReservedRefund): bigint {
  const minor = minorFromMicros(amountMicros, exponentOf(currency));
  if (!minor.ok) {
    throw new RangeError(`a reserved refund is no amount of ${currency}`);
  }
  return minor.minor;
}
