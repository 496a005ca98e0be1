/** Recurring fees: plans and rented numbers of wallets. */
import { randomUUID } from 'node:crypto';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import type { SubscriptionKind } from '../../ledger/subscriptions.ts';
import type { Sql } from '../../store/sql.ts';
import {
  addSubscription,
  currentSubscriptions,
  endSubscription,
  type SubscriptionOutcome,
  subscriptionsOf,
} from '../../store/subscriptions.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { SubscriptionServices, SubscriptionView } from '../../views/subscriptions.ts';
import { requireWallet } from '../wallets/wallet-by-name.ts';

export interface NewSubscription {
  readonly wallet: WalletName;
  /** The caller's own key: the same one again adds nothing. */
  readonly key: string;
  readonly kind: SubscriptionKind;
  /** What the user reads on statements. */
  readonly description: string;
  /** Of a whole month. */
  readonly monthlyMicros: bigint;
  /** By default now; not before the wallet's present month. */
  readonly startsAt?: Date | undefined;
  readonly endsAt?: Date | undefined;
}

export type AddAnswer =
  | { ok: true; replayed: boolean; subscriptionId: string; seq: bigint }
  | { ok: false; code: 'KEY_REUSED' | 'WALLET_CLOSED' | 'MONTH_CLOSED' };

export type EndAnswer =
  | { ok: true; changed: boolean; seq: bigint }
  | { ok: false; code: 'SUBSCRIPTION_NOT_FOUND' | 'WALLET_CLOSED' | 'MONTH_CLOSED' };

export interface Subscriptions extends SubscriptionServices {
  /** Adds a recurring fee, which closing each month posts. Throws `WALLET_NOT_FOUND`. */
  add(request: NewSubscription, actor: string): Promise<AddAnswer>;
  /**
   * Ends one, by default now: the month in which it ends costs its part. The end may be moved until
   * its month is over. Throws `WALLET_NOT_FOUND`.
   */
  end(
    request: { wallet: WalletName; subscriptionId: string; endsAt?: Date | undefined },
    actor: string,
  ): Promise<EndAnswer>;
  /** Also those that have ended, in the order in which they were added. */
  list(
    wallet: WalletName,
  ): Promise<{ walletId: string; currency: string; subscriptions: SubscriptionView[] }>;
}

export function createSubscriptions(sql: Sql): Subscriptions {
  return {
    async add({ wallet, key, startsAt, endsAt, ...terms }, actor) {
      const { walletId } = await requireWallet(sql, wallet);
      const outcome = await addSubscription(sql, {
        walletId,
        subscriptionId: randomUUID(),
        key: ledgerKey('subscription', key),
        requestHash: requestHash({ ...terms, startsAt, endsAt }),
        ...terms,
        startsAt: startsAt ?? null,
        endsAt: endsAt ?? null,
        actor,
      });
      const { code, replayed, seq, detail } = outcome;
      switch (code) {
        case 'OK':
          return { ok: true, replayed, subscriptionId: String(detail?.subscriptionId), seq };
        case 'KEY_REUSED':
        case 'WALLET_CLOSED':
        case 'MONTH_CLOSED':
          return { ok: false, code };
        default:
          throw unexpected('add_subscription', code);
      }
    },

    async end({ wallet, subscriptionId, endsAt }, actor) {
      const { walletId } = await requireWallet(sql, wallet);
      const { code, replayed, seq } = await endSubscription(sql, {
        walletId,
        subscriptionId,
        endsAt: endsAt ?? null,
        actor,
      });
      switch (code) {
        case 'OK':
          return { ok: true, changed: !replayed, seq };
        case 'SUBSCRIPTION_NOT_FOUND':
        case 'WALLET_CLOSED':
        case 'MONTH_CLOSED':
          return { ok: false, code };
        default:
          throw unexpected('end_subscription', code);
      }
    },

    async list(name) {
      const { walletId, currency } = await requireWallet(sql, name);
      return { walletId, currency, subscriptions: await subscriptionsOf(sql, walletId) };
    },

    current: (walletId) => currentSubscriptions(sql, walletId),
  };
}

function unexpected(name: string, code: SubscriptionOutcome['code']): TypeError {
  return new TypeError(`${name} answered ${code}`);
}
