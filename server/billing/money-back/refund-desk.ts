/** Refunds to cards as people ask for them: support staff, and users where the operator lets them. */
import { Fault } from '../../faults.ts';
import type { AskRefund, RefundableWallet, RefundDesk } from '../../http/views/payment-refunds.ts';
import type { WalletView } from '../../http/views/wallets.ts';
import { formatMicros, parseAmount } from '../../ledger/money.ts';
import { findAutoTopUp } from '../../store/auto-top-ups.ts';
import { countRefundRequests } from '../../store/payment-refunds.ts';
import type { Sql } from '../../store/sql.ts';
import { amountProblem } from '../top-ups/amount-problem.ts';
import { CURRENCY_EXPONENTS, onlyWallet, type Wallets } from '../wallets/wallets.ts';
import {
  cardUnitMicros,
  type PaymentRefundAnswer,
  type PaymentRefundRequest,
  type PaymentRefunds,
} from './payment-refunds.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Each is a call to Stripe, and a mail. Support has no such limit. */
const MOST_BY_USER_PER_HOUR = 10;
/** What the history says of a refund that its user asked for. */
const ASKED_BY_USER = "Asked for by the wallet's user";

export function createRefundDesk(options: {
  sql: Sql;
  wallets: Wallets;
  paymentRefunds: PaymentRefunds;
  /** Whether users may ask for refunds by themselves. */
  usersMayAsk: boolean;
}): RefundDesk {
  const { sql, wallets, paymentRefunds, usersMayAsk } = options;

  const isAutoTopUpOn = async (walletId: string) =>
    (await findAutoTopUp(sql, walletId))?.status === 'on';

  async function refundable(wallet: WalletView): Promise<RefundableWallet> {
    const [refunds, isOn] = await Promise.all([
      paymentRefunds.of(wallet.walletId),
      isAutoTopUpOn(wallet.walletId),
    ]);
    return { ...refunds, wallet, exponent: exponentOf(wallet), isAutoTopUpOn: isOn };
  }

  /** The wallet of a page's address; null for what is no id at all. */
  const walletNamed = async (walletId: string) =>
    UUID.test(walletId) ? onlyWallet(sql, { walletId }) : null;

  async function ask(
    wallet: WalletView,
    amount: string,
    request: Omit<PaymentRefundRequest, 'wallet' | 'amountMicros'>,
    by: { actor: string; whileFrozen: boolean },
  ): Promise<AskRefund> {
    const read = readAmount(amount, wallet);
    if (!read.ok) {
      return { ok: false, field: 'amount', message: read.message };
    }
    const { walletId } = wallet;
    const { amountMicros } = read;
    return inWords(
      await paymentRefunds.refund({ wallet: { walletId }, amountMicros, ...request }, by),
      wallet,
    );
  }

  return {
    async ofUser(userId) {
      return usersMayAsk ? refundable(await wallets.ofUser(userId)) : null;
    },

    async askByUser({ userId, amount, key }) {
      if (!usersMayAsk) {
        throw new Fault('FORBIDDEN');
      }
      const wallet = await wallets.ofUser(userId);
      if (amount.trim() === '') {
        return { ok: false, field: 'amount', message: 'Enter an amount.' };
      }
      if (await isAutoTopUpOn(wallet.walletId)) {
        return refused('Turn automatic top-up off first: it would charge your card again.');
      }
      const actor = `user:${userId}`;
      if ((await countRefundRequests(sql, wallet.walletId, actor)) >= MOST_BY_USER_PER_HOUR) {
        return refused('You asked for many refunds in the last hour. Please try again later.');
      }
      const request = { key: `user ${key}`, reason: ASKED_BY_USER };
      return ask(wallet, amount, request, { actor, whileFrozen: false });
    },

    async ofWallet(walletId) {
      const wallet = await walletNamed(walletId);
      return wallet === null ? null : refundable(wallet);
    },

    async askBySupport({ walletId, topUpId, amount, reason, key, actor }) {
      const wallet = await walletNamed(walletId);
      if (wallet === null) {
        throw new Fault('WALLET_NOT_FOUND');
      }
      const request = { topUpId: topUpId ?? undefined, key: `support ${key}`, reason };
      return ask(wallet, amount, request, { actor, whileFrozen: true });
    },
  };
}

function exponentOf({ currency }: WalletView): number {
  const exponent = CURRENCY_EXPONENTS[currency];
  if (exponent === undefined) {
    throw new RangeError(`the decimals of ${currency} are not known`);
  }
  return exponent;
}

/** Nothing typed is all that may go back. */
function readAmount(
  text: string,
  wallet: WalletView,
): { ok: true; amountMicros?: bigint } | { ok: false; message: string } {
  if (text.trim() === '') {
    return { ok: true };
  }
  const exponent = exponentOf(wallet);
  const { currency } = wallet;
  const parsed = parseAmount(text, exponent);
  if (!parsed.ok) {
    return { ok: false, message: amountProblem(parsed.code, { currency, exponent }, '25') };
  }
  const { amountMicros } = parsed;
  if (amountMicros === 0n) {
    return { ok: false, message: 'Enter more than nothing.' };
  }
  const unitMicros = cardUnitMicros(currency);
  return amountMicros % unitMicros === 0n
    ? { ok: true, amountMicros }
    : {
        ok: false,
        message: `${currency} is refunded in steps of ${formatMicros(unitMicros, exponent)}.`,
      };
}

function inWords(answer: PaymentRefundAnswer, wallet: WalletView): AskRefund {
  if (answer.ok) {
    return { ok: true };
  }
  switch (answer.code) {
    case 'NOT_REFUNDABLE': {
      const most = `${formatMicros(answer.refundableMicros, exponentOf(wallet))} ${wallet.currency}`;
      const message =
        answer.refundableMicros === 0n
          ? 'None of this can go back to a card now.'
          : `At most ${most} can go back now.`;
      return { ok: false, field: 'amount', message };
    }
    case 'KEY_REUSED':
      return refused('This form was sent before, with something else. Nothing more was refunded.');
    case 'WALLET_FROZEN':
      return refused('This wallet is frozen. Please contact support.');
    case 'WALLET_CLOSED':
      return refused('This wallet is closed.');
    case 'WALLET_NOT_FOUND':
      throw new Fault('WALLET_NOT_FOUND');
    default: {
      const unknown: never = answer;
      throw new TypeError(`unknown answer ${JSON.stringify(unknown)}`);
    }
  }
}

function refused(message: string): AskRefund {
  return { ok: false, field: null, message };
}
