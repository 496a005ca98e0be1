/** Refunds to cards as people ask for them: support staff, and users where the operator lets them. */
import { Fault } from '../../faults.ts';
import { formatMicros, parseAmount } from '../../ledger/money.ts';
import { findAutoTopUp } from '../../store/auto-top-ups.ts';
import { countRefundRequests } from '../../store/payment-refunds.ts';
import type { Sql } from '../../store/sql.ts';
import { isUuid } from '../../uuid.ts';
import type {
  AskRefund,
  RefundableWallet,
  RefundDesk,
  WalletRefunds,
} from '../../views/payment-refunds.ts';
import type { WalletView } from '../../views/wallets.ts';
import { amountProblem } from '../top-ups/amount-problem.ts';
import { exponentOf } from '../wallets/currencies.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';
import type { Wallets } from '../wallets/wallets.ts';
import {
  cardUnitMicros,
  type PaymentRefundAnswer,
  type PaymentRefundRequest,
  type PaymentRefunds,
} from './payment-refunds.ts';

/** A text for people on one line, which the database can store. */
const REASON = /^[^\p{Cc}\p{Cs}]{1,500}$/u;
/** Each is a call to Stripe, and a mail. Support has no such limit. */
const MOST_BY_USER_PER_HOUR = 10;
/** What the history says of a refund that its user asked for. */
const ASKED_BY_USER = "Asked for by the wallet's user";

type Problems = Extract<AskRefund, { ok: false }>['problems'];

/** A refund as a person asks for it. */
interface Asked extends Omit<PaymentRefundRequest, 'wallet' | 'amountMicros'> {
  amount: string;
  confirmed: boolean;
}

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
    return { ...refunds, wallet, exponent: exponentOf(wallet.currency), isAutoTopUpOn: isOn };
  }

  /** The wallet of a page's address; null for what is no id at all. */
  const walletNamed = async (walletId: string) =>
    isUuid(walletId) ? onlyWallet(sql, { walletId }) : null;

  async function ask(
    wallet: WalletView,
    { amount, confirmed, ...request }: Asked,
    { actor, isSupport }: { actor: string; isSupport: boolean },
  ): Promise<AskRefund> {
    const { walletId } = wallet;
    const { reason, topUpId } = request;
    const read = readAmount(amount, wallet, isSupport);
    const problems: Problems = {
      ...(!read.ok && { amount: read.message }),
      ...(!REASON.test(reason) && { reason: 'Say why, in at most 500 characters.' }),
      ...(!confirmed && { confirmed: 'Confirm that the money is to go back.' }),
    };
    if (!read.ok) {
      return { ok: false, problems };
    }
    const { amountMicros } = read;
    if (Object.keys(problems).length === 0) {
      const asked = { wallet: { walletId }, amountMicros, ...request };
      return inWords(await paymentRefunds.refund(asked, { actor, whileFrozen: isSupport }), wallet);
    }
    // The ledger is not asked, so nothing has said yet that it is too much.
    const mostMicros = mostOf(await paymentRefunds.of(walletId), topUpId);
    return amountMicros === undefined || amountMicros <= mostMicros
      ? { ok: false, problems }
      : { ok: false, problems: { amount: tooMuch(mostMicros, wallet), ...problems } };
  }

  return {
    async ofUser(userId) {
      return usersMayAsk ? refundable(await wallets.ofUser(userId)) : null;
    },

    async askByUser({ userId, key, ...typed }) {
      if (!usersMayAsk) {
        throw new Fault('FORBIDDEN');
      }
      const wallet = await wallets.ofUser(userId);
      if (await isAutoTopUpOn(wallet.walletId)) {
        return refused('Turn automatic top-up off first: it would charge your card again.');
      }
      const actor = `user:${userId}`;
      if ((await countRefundRequests(sql, wallet.walletId, actor)) >= MOST_BY_USER_PER_HOUR) {
        return refused('You asked for many refunds in the last hour. Please try again later.');
      }
      const request = { ...typed, key: `user ${key}`, reason: ASKED_BY_USER };
      return ask(wallet, request, { actor, isSupport: false });
    },

    async ofWallet(walletId) {
      const wallet = await walletNamed(walletId);
      return wallet === null ? null : refundable(wallet);
    },

    async askBySupport({ walletId, topUpId, key, actor, reason, ...typed }) {
      const wallet = await walletNamed(walletId);
      if (wallet === null) {
        throw new Fault('WALLET_NOT_FOUND');
      }
      const request = {
        ...typed,
        topUpId: topUpId ?? undefined,
        key: `support ${key}`,
        reason: reason.trim(),
      };
      return ask(wallet, request, { actor, isSupport: true });
    },
  };
}

/** Where it may be empty, nothing typed is all that may go back. */
function readAmount(
  text: string,
  wallet: WalletView,
  mayBeEmpty: boolean,
): { ok: true; amountMicros?: bigint } | { ok: false; message: string } {
  if (mayBeEmpty && text.trim() === '') {
    return { ok: true };
  }
  const { currency } = wallet;
  const exponent = exponentOf(currency);
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
    case 'NOT_REFUNDABLE':
      return { ok: false, problems: { amount: tooMuch(answer.refundableMicros, wallet) } };
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

/** The most that may go back of a top-up, or of all together. */
function mostOf({ topUps, refundableMicros }: WalletRefunds, topUpId: string | undefined): bigint {
  return topUpId === undefined
    ? refundableMicros
    : (topUps.find((topUp) => topUp.topUpId === topUpId)?.refundableMicros ?? 0n);
}

function tooMuch(mostMicros: bigint, wallet: WalletView): string {
  const most = `${formatMicros(mostMicros, exponentOf(wallet.currency))} ${wallet.currency}`;
  return mostMicros === 0n
    ? 'None of this can go back to a card now.'
    : `At most ${most} can go back now.`;
}

function refused(message: string): AskRefund {
  return { ok: false, message, problems: {} };
}
