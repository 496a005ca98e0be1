/** Follows the ledger and derives what its users are told; alerts at low balances. */

import type { Logger } from 'pino';
import { Fault } from '../../faults.ts';
import { formatMicros, parseAmount } from '../../ledger/money.ts';
import {
  deriveNotices,
  readBalanceAlerts,
  stopAlertMails,
  walletsWithNews,
  writeBalanceAlerts,
} from '../../store/notices.ts';
import type { Sql } from '../../store/sql.ts';
import type { AlertServices } from '../../views/alerts.ts';
import type { WalletView } from '../../views/wallets.ts';
import { type TokenSigner, tokenSigner } from '../accounts/signed-token.ts';
import { type Background, everyInterval } from '../background.ts';
import { amountProblem } from '../top-ups/amount-problem.ts';
import { exponentOf } from '../wallets/currencies.ts';
import type { Wallets } from '../wallets/wallets.ts';

/** Wallets in one transaction, which holds their cursors and nothing that a charge needs. */
const WALLETS_PER_CALL = 100;
const WALLETS_PER_PASS = 5_000;
const MAX_ALERTS = 5;
const MAX_ALERT_MICROS = 1_000_000_000_000_000n;

/**
 * Derives notices from events that were recorded, within seconds. Any number of processes may run
 * it; each event is looked at once.
 */
export function createNoticeFollower(options: {
  sql: Sql;
  intervalMs: number;
  logger: Logger;
}): Background & { tick(): Promise<number> } {
  const { sql, intervalMs, logger } = options;

  /** Returns how many wallets it looked at. */
  async function tick(): Promise<number> {
    const news = await walletsWithNews(sql, WALLETS_PER_PASS);
    let lookedAt = 0;
    for (let from = 0; from < news.length; from += WALLETS_PER_CALL) {
      lookedAt += await deriveNotices(sql, news.slice(from, from + WALLETS_PER_CALL));
    }
    return lookedAt;
  }

  return {
    tick,
    ...everyInterval(tick, intervalMs, (err) => logger.warn({ err }, 'notices not derived')),
  };
}

export type Alerts = AlertServices;

/** Signs and reads the wallet's id in the links by which mails of low balances are stopped. */
export const alertLinks = (secret: string): TokenSigner =>
  tokenSigner(secret, 'low-balance-alerts');

export function createAlerts(options: { sql: Sql; wallets: Wallets; links: TokenSigner }): Alerts {
  const { sql, wallets, links } = options;
  return {
    async get(userId) {
      const { walletId } = await wallets.ofUser(userId);
      return readBalanceAlerts(sql, walletId);
    },

    async save({ userId, amounts, byMail }) {
      const wallet = await wallets.ofUser(userId);
      const parsed = amounts.map((amount) => readThreshold(amount, wallet));
      const problems = Object.fromEntries(
        parsed.flatMap((each, index) => {
          const first = parsed.indexOf(each);
          if (typeof each === 'bigint' && first < index) {
            return [[index, `This is the same as alert ${first + 1}.`]];
          }
          return typeof each === 'string' ? [[index, each]] : [];
        }),
      );
      if (Object.keys(problems).length > 0) {
        return { ok: false, problems };
      }
      const thresholdsMicros = parsed.filter((each) => typeof each === 'bigint');
      if (thresholdsMicros.length > MAX_ALERTS) {
        throw new Fault('BAD_REQUEST', { publicMessage: `At most ${MAX_ALERTS} alerts.` });
      }
      await writeBalanceAlerts(sql, { walletId: wallet.walletId, thresholdsMicros, byMail });
      return { ok: true };
    },

    async mailsOfLink(token) {
      const walletId = links.read(token);
      return walletId === null ? null : (await readBalanceAlerts(sql, walletId)).byMail;
    },

    async stopMailsOfLink(token) {
      const walletId = links.read(token);
      return walletId !== null && (await stopAlertMails(sql, walletId));
    },

    async lowBalance(userId) {
      const wallet = await wallets.ofUser(userId);
      const { thresholds } = await readBalanceAlerts(sql, wallet.walletId);
      // The cursor is seconds behind: what has risen since is no longer low.
      const passed = thresholds.filter(
        ({ below, since, thresholdMicros }) =>
          below && since !== null && wallet.availableMicros < thresholdMicros,
      );
      const lowest = passed.at(-1);
      return lowest === undefined
        ? null
        : {
            currency: wallet.currency,
            thresholdMicros: lowest.thresholdMicros,
            availableMicros: wallet.availableMicros,
          };
    },
  };
}

/** The threshold that was typed, null where nothing was, or what is wrong with it. */
function readThreshold(amount: string, { currency }: WalletView): bigint | null | string {
  const exponent = exponentOf(currency);
  const parsed = parseAmount(amount, exponent);
  if (!parsed.ok) {
    const example = formatMicros(5_000_000n, exponent);
    return parsed.code === 'EMPTY'
      ? null
      : amountProblem(parsed.code, { currency, exponent }, example);
  }
  if (parsed.amountMicros === 0n) {
    return 'Enter an amount above zero, or leave it empty.';
  }
  return parsed.amountMicros > MAX_ALERT_MICROS ? 'This amount is too large.' : parsed.amountMicros;
}
