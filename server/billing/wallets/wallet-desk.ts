/** One wallet at the desk of support: how it stands, and what may be done with it. */

import { findUser } from '../../store/accounts.ts';
import {
  disputesOfWallet,
  listDisputes,
  listFraudWarnings,
  warningsOfWallet,
} from '../../store/disputes.ts';
import { pageOf, readTimeCursor, timeCursor } from '../../store/pages.ts';
import type { Sql } from '../../store/sql.ts';
import { subscriptionsOf } from '../../store/subscriptions.ts';
import { listTopUps } from '../../store/top-ups.ts';
import { findWallets } from '../../store/wallets.ts';
import { isUuid } from '../../uuid.ts';
import type { DeskAnswer, WalletDesk } from '../../views/wallet-desk.ts';
import type { SpendingLimits } from '../charging/spending-limits.ts';
import { readLimits } from '../charging/typed-limits.ts';
import { exponentOf } from './currencies.ts';
import type { ResumeAutoTopUpAnswer, Wallets } from './wallets.ts';

const EVENTS_SHOWN = 20;
const TOP_UPS_SHOWN = 20;
const LISTED = 50;

export function createWalletDesk(options: {
  sql: Sql;
  wallets: Wallets;
  spendingLimits: SpendingLimits;
}): WalletDesk {
  const { sql, wallets, spendingLimits } = options;

  async function walletOf(walletId: string) {
    const [wallet] = isUuid(walletId) ? await findWallets(sql, { walletId }) : [];
    return wallet ?? null;
  }

  return {
    async find(query) {
      if (!query.includes('@')) {
        return wallets.list(query);
      }
      const user = await findUser(sql, { email: query });
      const found = user === null ? [] : await findWallets(sql, { userId: user.id });
      return { wallets: found, nextCursor: null };
    },

    async get(walletId, cursor) {
      const wallet = await walletOf(walletId);
      if (wallet === null) {
        return null;
      }
      const [user, page, topUps, disputes, warnings, autoTopUp, { limits }, subscriptions] =
        await Promise.all([
          findUser(sql, { id: wallet.userId }),
          wallets.events(walletId, { cursor, limit: EVENTS_SHOWN }),
          listTopUps(sql, walletId, TOP_UPS_SHOWN),
          disputesOfWallet(sql, walletId),
          warningsOfWallet(sql, walletId),
          wallets.autoTopUp({ walletId }),
          spendingLimits.get({ walletId }),
          subscriptionsOf(sql, walletId),
        ]);
      return {
        wallet,
        email: user?.email ?? null,
        page,
        topUps,
        disputes,
        warnings,
        autoTopUp,
        limits,
        subscriptions,
        exponent: exponentOf(wallet.currency),
      };
    },

    async changeStatus({ walletId, status, reason, actor }) {
      if ((await walletOf(walletId)) === null) {
        return refused('There is no such wallet.');
      }
      const answer = await wallets.changeStatus({ wallet: { walletId }, status, reason }, actor);
      return answer.ok ? { ok: true } : refused('This wallet is closed.');
    },

    async resumeAutoTopUp({ walletId, actor }) {
      if ((await walletOf(walletId)) === null) {
        return refused('There is no such wallet.');
      }
      const answer = await wallets.resumeAutoTopUp({ walletId }, actor);
      return answer.ok ? { ok: true } : refused(RESUME_PROBLEMS[answer.code]);
    },

    async setLimits({ walletId, limits: typed, actor }) {
      const wallet = await walletOf(walletId);
      if (wallet === null) {
        return refused('There is no such wallet.');
      }
      const read = readLimits(typed, {
        code: wallet.currency,
        exponent: exponentOf(wallet.currency),
      });
      if (!read.ok) {
        return read;
      }
      const answer = await spendingLimits.set({ walletId }, read.limits, actor);
      return answer.ok ? { ok: true } : refused('This wallet is closed.');
    },

    async disputes({ cursor, limit = LISTED }) {
      const before = readTimeCursor(cursor);
      const rows = await listDisputes(sql, { before, limit: limit + 1 });
      const { page, nextCursor } = pageOf(rows, limit, (last) =>
        timeCursor(last.cursorAt, last.disputeId),
      );
      return { disputes: page.map(({ cursorAt: _, ...dispute }) => dispute), nextCursor };
    },

    async warnings({ cursor, limit = LISTED }) {
      const before = readTimeCursor(cursor);
      const rows = await listFraudWarnings(sql, { before, limit: limit + 1 });
      const { page, nextCursor } = pageOf(rows, limit, (last) =>
        timeCursor(last.cursorAt, last.warningId),
      );
      return { warnings: page.map(({ cursorAt: _, ...warning }) => warning), nextCursor };
    },
  };
}

function refused(message: string): Extract<DeskAnswer, { ok: false }> {
  return { ok: false, message };
}

const RESUME_PROBLEMS: Readonly<
  Record<Extract<ResumeAutoTopUpAnswer, { ok: false }>['code'], string>
> = {
  WALLET_NOT_FOUND: 'There is no such wallet.',
  WALLET_FROZEN: 'Unfreeze the wallet first.',
  WALLET_CLOSED: 'This wallet is closed.',
  OFF: 'It is off, and only its user can turn it on.',
  NO_CARD: 'The user has no card that may be charged.',
  NEEDS_SUPPORT: 'It cannot go on yet.',
};
