/** Opening, reading, freezing and closing wallets. */
import { randomUUID } from 'node:crypto';
import { Fault } from '../../faults.ts';
import type { WalletMode } from '../../ledger/events.ts';
import type { WalletStatus } from '../../ledger/state.ts';
import {
  findAutoTopUp,
  type ResumeAutoTopUpRefusal,
  resumeAutoTopUp,
  type StoredAutoTopUp,
} from '../../store/auto-top-ups.ts';
import { type GrantView, grantsPage } from '../../store/grants.ts';
import { pageOf } from '../../store/pages.ts';
import type { Sql } from '../../store/sql.ts';
import { changeWalletStatus } from '../../store/wallet-status.ts';
import {
  balanceAt,
  eventsPage,
  findWallets,
  openWallet,
  type WalletName,
  walletsPage,
} from '../../store/wallets.ts';
import type { EventPage, WalletPage, WalletServices, WalletView } from '../../views/wallets.ts';
import { CURRENCY_EXPONENTS, DEFAULT_CURRENCY } from './currencies.ts';
import { onlyWallet, requireWallet } from './wallet-by-name.ts';

/** Wallets, events or grants in one page: the most that may be asked for, and what is by default. */
export const MAX_PAGE = 200;
export const PAGE = 50;

/** Which part of a list is asked for: by default its first `PAGE` items. */
interface PageOptions {
  readonly cursor?: string | undefined;
  readonly limit?: number | undefined;
}

export type StatusAnswer =
  | ({ ok: true /** False when it had the status already. */; changed: boolean } & WalletView)
  | { ok: false; code: 'WALLET_NOT_FOUND' | 'WALLET_CLOSED' }
  | {
      ok: false;
      code: 'WALLET_NOT_EMPTY';
      balanceMicros: bigint;
      heldMicros: bigint;
      arrearsMicros: bigint;
      /** Calls, say, that still run, whether or not they hold money. */
      openHolds: number;
      /** Recurring fees that are still to come. */
      openSubscriptions: number;
    };

export type ResumeAutoTopUpAnswer =
  | { ok: true }
  | { ok: false; code: 'WALLET_NOT_FOUND' | ResumeAutoTopUpRefusal };

export interface Wallets {
  /** Opens a user's wallet in a currency, or returns the one that is open already. */
  open(
    request: {
      userId: string;
      currency?: string | undefined;
      timezone?: string | undefined;
      mode?: WalletMode | undefined;
    },
    actor: string,
  ): Promise<WalletView>;
  /** The wallet that the name fits. Throws `WALLET_NOT_FOUND`. */
  get(name: WalletName): Promise<WalletView>;
  /**
   * Freezes (`frozen`), unfreezes (`open`) or closes a wallet, and says why in its history. A wallet
   * that has the status already stays as it is. Only an empty one is closed, and stays so.
   */
  changeStatus(
    request: { wallet: WalletName; status: WalletStatus; reason: string },
    actor: string,
  ): Promise<StatusAnswer>;
  /** How the wallet's automatic top-up stands; null when it was never turned on. */
  autoTopUp(name: WalletName): Promise<StoredAutoTopUp | null>;
  /** Lets it go on after a pause, whatever the reason was. */
  resumeAutoTopUp(name: WalletName, actor: string): Promise<ResumeAutoTopUpAnswer>;
  ofUser: WalletServices['ofUser'];
  events: WalletServices['events'];
  /** A page of the wallet's promotional credit, grant by grant, newest first. */
  grants(
    walletId: string,
    options: PageOptions,
  ): Promise<{ grants: GrantView[]; nextCursor: string | null }>;
  /** The wallet as it stood at the end of an instant's millisecond; null before it was opened. */
  balanceAt(walletId: string, at: Date): ReturnType<typeof balanceAt>;
  /** A page of the wallets whose user id starts with the text, ordered by user and currency. */
  list(userIdPrefix: string, options?: PageOptions): Promise<WalletPage>;
}

export function createWallets(sql: Sql): Wallets {
  const open: Wallets['open'] = async (request, actor) => {
    const currency = request.currency ?? DEFAULT_CURRENCY;
    if (!Object.hasOwn(CURRENCY_EXPONENTS, currency)) {
      const known = Object.keys(CURRENCY_EXPONENTS).join(', ');
      throw new Fault('BAD_REQUEST', { publicMessage: `currency: must be one of ${known}` });
    }
    const timezone = request.timezone ?? 'UTC';
    if (!isTimezone(timezone)) {
      throw new Fault('BAD_REQUEST', {
        publicMessage: 'timezone: must be a name of the IANA time zone database',
      });
    }
    return openWallet(sql, {
      walletId: randomUUID(),
      userId: request.userId,
      currency,
      timezone,
      mode: request.mode ?? 'live',
      actor,
    });
  };

  const changeStatus: Wallets['changeStatus'] = async ({ wallet: name, status, reason }, actor) => {
    const wallet = await onlyWallet(sql, name);
    if (wallet === null) {
      return { ok: false, code: 'WALLET_NOT_FOUND' };
    }
    const { walletId } = wallet;
    const outcome = await changeWalletStatus(sql, { walletId, status, actor, detail: { reason } });
    const { code, replayed, seq, balanceMicros, heldMicros, arrearsMicros } = outcome;
    switch (code) {
      case 'OK': {
        const { availableMicros } = outcome;
        const now = { status, seq, balanceMicros, heldMicros, arrearsMicros, availableMicros };
        return { ok: true, changed: !replayed, ...wallet, ...now };
      }
      case 'WALLET_NOT_EMPTY': {
        const open = outcome.detail as { openHolds: number; openSubscriptions: number };
        return { ok: false, code, balanceMicros, heldMicros, arrearsMicros, ...open };
      }
      case 'WALLET_NOT_FOUND':
      case 'WALLET_CLOSED':
        return { ok: false, code };
      default: {
        const unknown: never = code;
        throw new TypeError(`unknown outcome ${String(unknown)}`);
      }
    }
  };

  return {
    open,
    changeStatus,

    get: (name) => requireWallet(sql, name),

    async autoTopUp(name) {
      return findAutoTopUp(sql, (await requireWallet(sql, name)).walletId);
    },

    async resumeAutoTopUp(name, actor) {
      const wallet = await onlyWallet(sql, name);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const code = await resumeAutoTopUp(sql, {
        walletId: wallet.walletId,
        actor,
        bySupport: true,
      });
      return code === 'OK' ? { ok: true } : { ok: false, code };
    },

    async ofUser(userId) {
      const [wallet] = await findWallets(sql, { userId });
      return wallet ?? open({ userId }, `user:${userId}`);
    },

    async events(walletId, options): Promise<EventPage> {
      return eventsPage(sql, walletId, {
        beforeSeq: options.cursor === undefined ? null : parseCursor(options.cursor),
        limit: Math.min(Math.max(options.limit ?? PAGE, 1), MAX_PAGE),
        types: options.types === undefined || options.types.length === 0 ? null : options.types,
        from: options.from ?? null,
        to: options.to ?? null,
      });
    },

    async grants(walletId, { cursor, limit = PAGE }) {
      const found = await grantsPage(sql, walletId, {
        beforeSeq: cursor === undefined ? null : parseCursor(cursor),
        limit,
      });
      const { page, nextCursor } = pageOf(found, limit, ({ seq }) => seq.toString());
      return { grants: page, nextCursor };
    },

    balanceAt: (walletId, at) => balanceAt(sql, walletId, at),

    async list(prefix, { cursor, limit = PAGE } = {}) {
      const [behind] = cursor === undefined ? [] : await findWallets(sql, { walletId: cursor });
      if (cursor !== undefined && behind === undefined) {
        throw foreignCursor();
      }
      return walletsPage(sql, { prefix, behind: behind ?? null, limit });
    },
  };
}

function parseCursor(cursor: string): bigint {
  if (!/^[1-9]\d{0,17}$/.test(cursor)) {
    throw foreignCursor();
  }
  return BigInt(cursor);
}

function foreignCursor(): Fault {
  return new Fault('BAD_REQUEST', { publicMessage: 'cursor: is not one that this list gave' });
}

/**
 * Names such as `Europe/Berlin`, and `UTC`. Offsets such as `+02:00` have no daylight saving and are
 * refused, and so are short names: `IST` is India's time to JavaScript and Israel's to PostgreSQL.
 */
function isTimezone(name: string): boolean {
  if (name !== 'UTC' && !/^[A-Za-z][A-Za-z0-9_+-]*\/[A-Za-z0-9_+\-/]{1,63}$/.test(name)) {
    return false;
  }
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
