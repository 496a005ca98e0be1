/** Two-phase charging: reserve before, report while it runs, settle after. */
import { Fault } from '../../faults.ts';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { type OpenHold, openHolds, voidHolds } from '../../store/holds.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { type CaptureHold, createHoldCaptures } from './hold-captures.ts';
import { createHoldHeartbeats, type ExtendHold } from './hold-heartbeats.ts';
import { createHoldLookup, type HoldName } from './hold-lookup.ts';
import { type AuthorizeHold, createHoldPlacing } from './hold-placing.ts';
import { createHoldWrites, holdQueue } from './hold-queue.ts';
import { type HoldRefusal, refusalOf } from './hold-refusals.ts';
import { createWalletDirectory, type WalletDirectory } from './wallet-directory.ts';

const MAX_LISTED = 1_000;

export type VoidAnswer =
  | {
      ok: true;
      replayed: boolean;
      holdId: string;
      seq: bigint;
      /** What was reserved, or had been billed when the hold ran out, and is the user's again. */
      releasedMicros: bigint;
      balanceMicros: bigint;
      availableMicros: bigint;
    }
  | HoldRefusal;

export interface Holds {
  readonly authorize: AuthorizeHold;
  readonly extend: ExtendHold;
  readonly capture: CaptureHold;
  /** Releases all of a hold: nothing was delivered, so nothing is billed. */
  void(request: HoldName, actor: string): Promise<VoidAnswer>;
  /** The wallet's open holds, oldest first, at most 1,000. Throws `WALLET_NOT_FOUND`. */
  list(wallet: WalletName): Promise<OpenHold[]>;
}

/**
 * The use cases of holds. `now` chooses the prices of a new hold. `directory` may be shared with
 * other use cases.
 */
export function createHolds(options: {
  sql: Sql;
  rateCards: RateCards;
  now: () => Date;
  directory?: WalletDirectory;
}): Holds {
  const { sql, rateCards, now, directory = createWalletDirectory(options.sql) } = options;
  const writes = createHoldWrites(sql);
  const voids = holdQueue(sql, voidHolds);
  const lookup = createHoldLookup({ sql, rateCards });
  const { find, findWallet } = lookup;

  return {
    authorize: createHoldPlacing({ sql, rateCards, now, directory, writes, lookup }),
    extend: createHoldHeartbeats({ sql, lookup }),
    capture: createHoldCaptures({ writes, lookup }),

    async void(request, actor) {
      const hold = await find(request);
      if ('ok' in hold) {
        return hold;
      }
      const { holdId, walletId, currency } = hold;
      const key = ledgerKey('hold_void', holdId);
      const outcome = await voids.send({
        walletId,
        holdId,
        key,
        requestHash: requestHash({}),
        actor,
      });
      if (outcome.code !== 'OK') {
        return refusalOf(outcome, currency, '');
      }
      const { replayed, seq, amountMicros, balanceMicros, availableMicros } = outcome;
      const releasedMicros = amountMicros;
      return { ok: true, replayed, holdId, seq, releasedMicros, balanceMicros, availableMicros };
    },

    async list(name) {
      const wallet = await findWallet(name);
      if (wallet === null) {
        throw new Fault('WALLET_NOT_FOUND');
      }
      return openHolds(sql, wallet.walletId, MAX_LISTED);
    },
  };
}
