/** Carries a reserved automatic top-up to its end at Stripe, from wherever it stands. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import {
  type AutoTopUpCharge,
  dropAutoTopUp,
  findAutoTopUpCharge,
  postponeAutoTopUp,
  type RefusalClass,
  type ReserveCode,
  refuseAutoTopUp,
  reserveAutoTopUp,
} from '../../store/auto-top-ups.ts';
import type { Sql } from '../../store/sql.ts';
import { findStripeCustomer, recordTopUpAttempt } from '../../store/top-ups.ts';
import type { StripeGatewayError } from '../../stripe/errors.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { StripeIntent } from '../../stripe/payment-intents.ts';
import { isRefusalOfKey, isRefusalOfRequest } from '../stripe-events/stripe-refusals.ts';
import { topUpStatusOf } from '../top-ups/top-ups.ts';
import { type CardRefusal, classOfDecline, classOfRefusedCall } from './auto-top-up-rules.ts';

/**
 * Stripe keeps an idempotency key for a day at least. After this long nothing is created with a key
 * any more: a payment that cannot be found by then was never made.
 */
const KEY_LIFETIME_SECONDS = 20 * 3_600;
/** Stripe's clock and ours may differ when its list is asked for payments since the reservation. */
const CLOCK_TOLERANCE_MS = 10 * 60_000;
/** Far more than a user has cards. */
const MOST_STEPS = 100;

export interface AutoTopUpCharging {
  /** Reserves the charge that a wallet needs, if it needs one, and makes it. */
  topUp(walletId: string): Promise<ReserveCode>;
  /** Takes up a charge whose outcome is open. */
  resume(topUpId: string): Promise<void>;
}

export function createAutoTopUpCharging(options: {
  sql: Sql;
  gateway: StripeGateway;
  livemode: boolean;
  /** Brings a payment to what Stripe says of it, which credits it when it succeeded. */
  settlePayment: (paymentIntentId: string) => Promise<unknown>;
  clock: () => Date;
  logger: Logger;
}): AutoTopUpCharging {
  const { sql, gateway, livemode, settlePayment, clock, logger } = options;

  /** Goes on until the charge is at rest; what Stripe does not answer is taken up later. */
  async function advance(topUpId: string, isNew: boolean): Promise<void> {
    let isFirst = isNew;
    try {
      for (let steps = 0; steps < MOST_STEPS; steps += 1) {
        const charge = await findAutoTopUpCharge(sql, topUpId);
        if (charge === null || !(await step(charge, isFirst))) {
          return;
        }
        isFirst = false;
      }
      throw new Error('the charge does not come to an end');
    } catch (error) {
      await postponeAutoTopUp(sql, topUpId);
      if (isRefusalOfKey(error)) {
        // No card was refused: an operator has to mend the key, and the charge is taken up then.
        logger.error({ err: error, topUpId }, 'Stripe refuses the key of this program');
      } else {
        logger.warn({ err: error, topUpId }, 'automatic top-up not finished');
      }
    }
  }

  /** One step; whether another follows it at once. */
  async function step(charge: AutoTopUpCharge, isFirst: boolean): Promise<boolean> {
    if (charge.state === 'canceling') {
      return cancel(charge);
    }
    if (charge.state !== 'charging') {
      return false;
    }
    if (charge.paymentIntentId !== null) {
      return goOnWith(charge, await gateway.retrieveIntent(charge.paymentIntentId));
    }
    const customerId = await findStripeCustomer(sql, charge.userId, livemode);
    if (!isFirst) {
      // An earlier call may have reached Stripe although its answer did not reach us.
      const made = customerId === null ? null : await findIntent(charge, customerId);
      if (made !== null) {
        await record(charge, made);
        return true;
      }
      if (!charge.mayCharge || charge.ageSeconds > KEY_LIFETIME_SECONDS) {
        await dropAutoTopUp(sql, charge.topUpId);
        return false;
      }
    }
    if (customerId === null) {
      return refuse(charge, 'api', 'customer_missing', null, false);
    }
    return create(charge, customerId);
  }

  async function create(charge: AutoTopUpCharge, customerId: string): Promise<boolean> {
    try {
      const intent = await gateway.chargeSavedCard({
        topUpId: charge.topUpId,
        customerId,
        amountMinor: charge.amountMinor,
        currency: charge.currency,
        paymentMethodId: charge.paymentMethodId,
        idempotencyKey: `auto_top_up_${charge.topUpId}_${charge.try}`,
      });
      return await goOnWith(charge, intent);
    } catch (error) {
      if (!isRefusalOfRequest(error)) {
        throw error;
      }
      if (error.paymentIntentId === null) {
        const refusal = refusalOf(error);
        return refuse(charge, classOfRefusedCall(refusal), refusal.code, null, false);
      }
      // The payment exists; what became of it is read from it, as after any other way here.
      await recordTopUpAttempt(sql, {
        topUpId: charge.topUpId,
        paymentIntentId: error.paymentIntentId,
        status: 'created',
        failureCode: null,
        failureMessage: null,
      });
      return true;
    }
  }

  async function goOnWith(charge: AutoTopUpCharge, intent: StripeIntent): Promise<boolean> {
    switch (intent.status) {
      case 'succeeded':
        await settlePayment(intent.id);
        return false;
      case 'canceled':
        await record(charge, intent);
        return false;
      case 'processing':
      case 'requires_capture':
        await record(charge, intent);
        await postponeAutoTopUp(sql, charge.topUpId);
        return false;
      case 'requires_action':
        await record(charge, intent);
        return refuse(charge, 'authentication', 'authentication_required', null, true);
      case 'requires_payment_method':
      case 'requires_confirmation':
        await record(charge, intent);
        return askCard(charge, intent);
      default: {
        const unknown: never = intent.status;
        throw new TypeError(`unknown payment intent status ${unknown}`);
      }
    }
  }

  /** The payment waits for a card: either this one was refused, or it was not asked yet. */
  async function askCard(charge: AutoTopUpCharge, intent: StripeIntent): Promise<boolean> {
    const { lastError } = intent;
    if (lastError !== null && lastError.paymentMethodId === charge.paymentMethodId) {
      const refusal = { ...lastError, param: null };
      return refuse(charge, classOfDecline(refusal), lastError.code, lastError.message, true);
    }
    if (!charge.mayCharge) {
      return refuse(charge, 'later', 'turned_off', null, true);
    }
    try {
      const paid = await gateway.chargeAnotherCard({
        intentId: intent.id,
        paymentMethodId: charge.paymentMethodId,
        idempotencyKey: `auto_top_up_${charge.topUpId}_${charge.try}_confirm`,
      });
      return await goOnWith(charge, paid);
    } catch (error) {
      if (!isRefusalOfRequest(error)) {
        throw error;
      }
      if (error.declineCode !== null || error.paymentIntentId !== null) {
        return true;
      }
      const refusal = refusalOf(error);
      return refuse(charge, classOfRefusedCall(refusal), refusal.code, null, true);
    }
  }

  async function cancel(charge: AutoTopUpCharge): Promise<boolean> {
    const { paymentIntentId } = charge;
    if (paymentIntentId === null) {
      await dropAutoTopUp(sql, charge.topUpId);
      return false;
    }
    const intent = await gateway.cancelIntent(paymentIntentId).catch((error: unknown) => {
      if (!isRefusalOfRequest(error)) {
        throw error;
      }
      // It is over already, one way or the other.
      return gateway.retrieveIntent(paymentIntentId);
    });
    if (intent.status === 'succeeded') {
      await settlePayment(intent.id);
    } else {
      await record(charge, intent);
      if (intent.status !== 'canceled') {
        await postponeAutoTopUp(sql, charge.topUpId);
      }
    }
    return false;
  }

  async function refuse(
    charge: AutoTopUpCharge,
    refusalClass: RefusalClass,
    code: string,
    message: string | null,
    hasPayment: boolean,
  ): Promise<boolean> {
    const state = await refuseAutoTopUp(sql, {
      topUpId: charge.topUpId,
      try: charge.try,
      class: refusalClass,
      code,
      message,
      hasPayment,
    });
    logger.info({ topUpId: charge.topUpId, code, state }, 'automatic top-up refused');
    return state === 'charging' || state === 'canceling';
  }

  async function record(charge: AutoTopUpCharge, intent: StripeIntent): Promise<void> {
    const status = topUpStatusOf(intent.status);
    await recordTopUpAttempt(sql, {
      topUpId: charge.topUpId,
      paymentIntentId: intent.id,
      // Paid at Stripe but not credited yet is still on its way for the wallet.
      status: status === 'succeeded' ? 'processing' : status,
      failureCode: intent.lastError?.code ?? null,
      failureMessage: intent.lastError?.message ?? null,
    });
  }

  async function findIntent(
    charge: AutoTopUpCharge,
    customerId: string,
  ): Promise<StripeIntent | null> {
    const from = new Date(clock().getTime() - charge.ageSeconds * 1000 - CLOCK_TOLERANCE_MS);
    const to = new Date(clock().getTime() + CLOCK_TOLERANCE_MS);
    for await (const intent of gateway.listIntents({ from, to, customerId })) {
      if (intent.topUpId === charge.topUpId) {
        return intent;
      }
    }
    return null;
  }

  return {
    async topUp(walletId) {
      const topUpId = randomUUID();
      const { code } = await reserveAutoTopUp(sql, walletId, topUpId);
      if (code === 'RESERVED') {
        await advance(topUpId, true);
      }
      return code;
    },
    resume: (topUpId) => advance(topUpId, false),
  };
}

function refusalOf(error: StripeGatewayError): CardRefusal & { code: string } {
  return {
    code: error.declineCode ?? error.providerCode ?? 'unknown',
    adviceCode: error.adviceCode,
    networkAdviceCode: error.networkAdviceCode,
    param: error.param,
  };
}
