/** Top-ups by card: started here, credited only by what Stripe reports. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { Fault } from '../../faults.ts';
import { formatMicros, microsFromMinor, minorFromMicros, parseAmount } from '../../ledger/money.ts';
import type { Sql } from '../../store/sql.ts';
import {
  findTopUp,
  listFreezingTopUps,
  listTopUps,
  recordTopUpAttempt,
  type StartTopUpRefusal,
  type StoredTopUp,
  startTopUp,
} from '../../store/top-ups.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { IntentStatus } from '../../stripe/payment-intents.ts';
import { isUuid } from '../../uuid.ts';
import type { StartTopUp, TopUpLimits, TopUpServices, TopUpStatus } from '../../views/top-ups.ts';
import { exponentOf } from '../wallets/currencies.ts';
import type { Wallets } from '../wallets/wallets.ts';
import { amountProblem } from './amount-problem.ts';
import { createCustomerOf } from './stripe-customers.ts';

/** Smallest, largest and offered amounts in minor units of the currency. */
const LIMITS_MINOR: Readonly<Record<string, { min: bigint; max: bigint; presets: bigint[] }>> = {
  USD: { min: 500n, max: 100_000n, presets: [1_000n, 2_500n, 5_000n, 10_000n] },
  EUR: { min: 500n, max: 100_000n, presets: [1_000n, 2_500n, 5_000n, 10_000n] },
  GBP: { min: 500n, max: 100_000n, presets: [1_000n, 2_500n, 5_000n, 10_000n] },
  CHF: { min: 500n, max: 100_000n, presets: [1_000n, 2_500n, 5_000n, 10_000n] },
  CAD: { min: 500n, max: 100_000n, presets: [1_000n, 2_500n, 5_000n, 10_000n] },
  AUD: { min: 500n, max: 100_000n, presets: [1_000n, 2_500n, 5_000n, 10_000n] },
  JPY: { min: 500n, max: 150_000n, presets: [1_000n, 3_000n, 5_000n, 10_000n] },
  KWD: { min: 2_000n, max: 300_000n, presets: [5_000n, 10_000n, 20_000n, 50_000n] },
};

/** The wallet's side of each state of a payment intent. */
export function topUpStatusOf(status: IntentStatus): Exclude<TopUpStatus, 'quarantined'> {
  switch (status) {
    case 'succeeded':
      return 'succeeded';
    case 'processing':
    case 'requires_capture':
      return 'processing';
    case 'requires_action':
      return 'requires_action';
    case 'canceled':
      return 'canceled';
    case 'requires_payment_method':
    case 'requires_confirmation':
      return 'created';
    default: {
      const unknown: never = status;
      throw new TypeError(`unknown payment intent status ${unknown}`);
    }
  }
}

export type TopUps = TopUpServices;

export function createTopUps(options: {
  sql: Sql;
  wallets: Wallets;
  gateway: StripeGateway;
  livemode: boolean;
  logger: Logger;
}): TopUps {
  const { sql, wallets, gateway, livemode, logger } = options;
  const customerOf = createCustomerOf({ sql, gateway, livemode });

  /** Makes the top-up's payment intent, or finds the one that an earlier try made. */
  async function intentOf(
    topUp: StoredTopUp,
    userId: string,
    receiptEmail: string | undefined,
  ): Promise<{ id: string; clientSecret: string; status: IntentStatus }> {
    if (topUp.paymentIntentId !== null) {
      return gateway.retrieveIntent(topUp.paymentIntentId);
    }
    return gateway.createTopUpIntent({
      topUpId: topUp.topUpId,
      customerId: await customerOf(userId),
      amountMinor: topUp.amountMinor,
      currency: topUp.currency,
      receiptEmail,
      idempotencyKey: `top_up_${topUp.topUpId}`,
    });
  }

  /** A user's top-up; null when there is none of that id. */
  async function ofUser(userId: string, topUpId: string): Promise<StoredTopUp | null> {
    if (!isUuid(topUpId)) {
      return null;
    }
    const { walletId } = await wallets.ofUser(userId);
    return findTopUp(sql, walletId, topUpId);
  }

  /** Records that a payment which waited for its card is on its way, if Stripe says so. */
  async function noteOnItsWay(topUp: StoredTopUp | null): Promise<void> {
    const mayBePaid = ['created', 'requires_action', 'failed'];
    if (topUp?.kind !== 'manual' || !mayBePaid.includes(topUp.status) || !topUp.paymentIntentId) {
      return;
    }
    const { topUpId, paymentIntentId } = topUp;
    const atStripe = topUpStatusOf((await gateway.retrieveIntent(paymentIntentId)).status);
    if (atStripe === 'succeeded' || atStripe === 'processing') {
      const noFailure = { failureCode: null, failureMessage: null };
      const status = 'processing';
      await recordTopUpAttempt(sql, { topUpId, paymentIntentId, status, ...noFailure });
    }
  }

  return {
    limits: topUpLimits,

    async start({ userId, attemptKey, amount, receiptEmail }): Promise<StartTopUp> {
      const wallet = await wallets.ofUser(userId);
      const limits = topUpLimits(wallet.currency);
      const parsed = checkAmount(amount, limits);
      if (!parsed.ok) {
        return parsed;
      }
      if (!/^[A-Za-z0-9_-]{8,100}$/.test(attemptKey)) {
        throw new Fault('BAD_REQUEST', {
          publicMessage: 'attemptKey: must be 8 to 100 letters, digits, dashes or underscores',
        });
      }
      const started = await startTopUp(sql, {
        topUpId: randomUUID(),
        walletId: wallet.walletId,
        attemptKey,
        amountMicros: parsed.amountMicros,
        amountMinor: parsed.amountMinor,
        livemode,
      });
      if (started.code !== 'OK') {
        return refusedStart(started.code);
      }
      const { topUp } = started;
      try {
        const intent = await intentOf(topUp, userId, receiptEmail);
        const atStripe = topUpStatusOf(intent.status);
        // Paid at Stripe but not credited yet is still on its way for the wallet.
        const status = atStripe === 'succeeded' ? 'processing' : atStripe;
        if (topUp.paymentIntentId === null || status === 'processing') {
          await recordTopUpAttempt(sql, {
            topUpId: topUp.topUpId,
            paymentIntentId: intent.id,
            status,
            failureCode: null,
            failureMessage: null,
          });
        }
        return {
          ok: true,
          topUpId: topUp.topUpId,
          status,
          clientSecret: intent.clientSecret,
          amountMinor: Number(topUp.amountMinor),
        };
      } catch (error) {
        logger.warn({ err: error, topUpId: topUp.topUpId }, 'payment intent not available');
        return {
          ok: false,
          code: 'PAYMENT_PROVIDER_UNAVAILABLE',
          message: 'The payment could not be started. Nothing was charged; please try again.',
        };
      }
    },

    async noteConfirmed(userId, topUpId) {
      await ofUser(userId, topUpId)
        .then(noteOnItsWay)
        .catch((err: unknown) => logger.warn({ err, topUpId }, 'payment not looked at'));
    },

    get: ofUser,

    async list(userId, limit = 20) {
      const wallet = await wallets.ofUser(userId);
      return listTopUps(sql, wallet.walletId, limit);
    },

    async freezing(userId) {
      const wallet = await wallets.ofUser(userId);
      return listFreezingTopUps(sql, wallet.walletId);
    },
  };
}

/** What a top-up in a currency may be. */
function topUpLimits(currency: string): TopUpLimits {
  const exponent = exponentOf(currency);
  const minor = LIMITS_MINOR[currency];
  if (minor === undefined) {
    throw new RangeError(`no top-up limits for ${currency}`);
  }
  return {
    currency,
    exponent,
    minMicros: microsFromMinor(minor.min, exponent),
    maxMicros: microsFromMinor(minor.max, exponent),
    presetsMicros: minor.presets.map((preset) => microsFromMinor(preset, exponent)),
  };
}

function checkAmount(
  text: string,
  limits: TopUpLimits,
): { ok: true; amountMicros: bigint; amountMinor: bigint } | Extract<StartTopUp, { ok: false }> {
  const { currency, exponent, minMicros, maxMicros } = limits;
  const parsed = parseAmount(text, exponent);
  if (!parsed.ok) {
    return { ok: false, code: 'INVALID_AMOUNT', message: amountProblem(parsed.code, limits, '25') };
  }
  const { amountMicros } = parsed;
  if (amountMicros < minMicros) {
    const least = `${formatMicros(minMicros, exponent)} ${currency}`;
    return { ok: false, code: 'BELOW_MINIMUM', message: `The smallest top-up is ${least}.` };
  }
  if (amountMicros > maxMicros) {
    const most = `${formatMicros(maxMicros, exponent)} ${currency}`;
    return { ok: false, code: 'ABOVE_MAXIMUM', message: `The largest top-up is ${most}.` };
  }
  const minor = minorFromMicros(amountMicros, exponent);
  // Stripe takes currencies of three decimals in steps of ten minor units.
  if (minor.ok && exponent === 3 && minor.minor % 10n !== 0n) {
    return { ok: false, code: 'INVALID_AMOUNT', message: `${currency} is paid in steps of 0.010.` };
  }
  return minor.ok
    ? { ok: true, amountMicros, amountMinor: minor.minor }
    : {
        ok: false,
        code: 'INVALID_AMOUNT',
        message: amountProblem('TOO_MANY_DECIMALS', limits, '25'),
      };
}

function refusedStart(code: StartTopUpRefusal): StartTopUp {
  switch (code) {
    case 'KEY_REUSED':
      return {
        ok: false,
        code,
        message:
          'This payment was started with another amount. Reload the page to start a new one.',
      };
    case 'WALLET_FROZEN':
      return { ok: false, code, message: 'This wallet is frozen. Please contact support.' };
    case 'WALLET_CLOSED':
      return { ok: false, code, message: 'This wallet is closed.' };
    case 'THROTTLED':
      return {
        ok: false,
        code,
        message: 'Too many payments were started in the last hour. Please try again later.',
      };
    case 'WALLET_NOT_FOUND':
      throw new Fault('WALLET_NOT_FOUND');
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown refusal ${unknown}`);
    }
  }
}
