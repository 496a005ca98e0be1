/** Two-phase charging: reserve before, report while it runs, settle after. */
import { randomUUID } from 'node:crypto';
import { Fault } from '../../faults.ts';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { dependsOnMonth } from '../../rating/price-list.ts';
import { canonicalUsage, type Usage, usageDestination } from '../../rating/usage.ts';
import { extendHolds, type OpenHold, openHolds, voidHolds } from '../../store/holds.ts';
import { unitsThisMonth } from '../../store/monthly-units.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { type CaptureHold, createHoldCaptures } from './hold-captures.ts';
import {
  createHoldLookup,
  type HoldName,
  type HoldTerms,
  type PlacedDetail,
} from './hold-lookup.ts';
import {
  type Estimate,
  type HoldPrices,
  priceEstimate,
  pricingOf,
  type Reach,
  reachOf,
  reportOf,
} from './hold-pricing.ts';
import { createHoldWrites, holdQueue } from './hold-queue.ts';
import { type HoldRefusal, refusalOf, refusalOfHeartbeat, shortageOf } from './hold-refusals.ts';
import { normalUsage } from './pricing.ts';
import type { Refusal } from './refusals.ts';
import { type LimitRefusal, limitRefusal } from './spending-limits.ts';
import {
  createWalletDirectory,
  type KnownWallet,
  type WalletDirectory,
} from './wallet-directory.ts';

export const DEFAULT_TTL_SECONDS = 300;
const MAX_LISTED = 1_000;
/** How often a hold is priced anew while other usage of its wallet moves its price. */
const MAX_PRICINGS = 50;

export interface AuthorizeRequest {
  readonly wallet: WalletName;
  /** The caller's own name of the hold: its idempotency key, and its reference in events. */
  readonly key: string;
  readonly estimate: Estimate;
  /** How long it lasts without a heartbeat. */
  readonly ttlSeconds: number;
}

export interface ExtendRequest extends HoldName {
  /** All usage since the beginning. */
  readonly usageSoFar?: Usage | undefined;
  /** Reserve this much ahead beyond what was authorized; the most that was asked for counts. */
  readonly addMicros?: bigint | undefined;
  /** By default as before. */
  readonly ttlSeconds?: number | undefined;
}

export type AuthorizeAnswer =
  | ({
      ok: true;
      replayed: boolean;
      holdId: string;
      heldMicros: bigint;
      expiresAt: string;
      availableMicros: bigint;
    } & Reach)
  | HoldRefusal;

interface Heartbeat extends Reach {
  holdId: string;
  heldMicros: bigint;
  /** The price of the usage recorded so far. */
  amountSoFarMicros: bigint;
  expiresAt: Date;
  availableMicros: bigint;
  /** Less is reserved ahead than was asked for: the end of the funds is near. */
  lowBalance: boolean;
}

/**
 * With INSUFFICIENT_FUNDS, or a spending limit's LIMIT_EXCEEDED, the usage so far is recorded all the
 * same, and covered if it can be.
 */
export type ExtendAnswer =
  | ({ ok: true } & Heartbeat)
  | (Extract<Refusal, { code: 'INSUFFICIENT_FUNDS' }> & Heartbeat)
  | (LimitRefusal & Heartbeat)
  | Exclude<HoldRefusal, { code: 'INSUFFICIENT_FUNDS' }>;

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
  /** Reserves money once per key, and says how much usage the wallet can afford. */
  authorize(request: AuthorizeRequest, actor: string): Promise<AuthorizeAnswer>;
  /**
   * The heartbeat of what is running: records the usage so far, reserves ahead of it, and puts the
   * expiry off. Repeated and belated heartbeats change nothing.
   */
  extend(request: ExtendRequest, actor: string): Promise<ExtendAnswer>;
  readonly capture: CaptureHold;
  /** Releases all of a hold: nothing was delivered, so nothing is billed. */
  void(request: HoldName, actor: string): Promise<VoidAnswer>;
  /** The wallet's open holds, oldest first, at most 1,000. Throws `WALLET_NOT_FOUND`. */
  list(wallet: WalletName): Promise<OpenHold[]>;
}

/**
 * The use cases of holds. `now` chooses the rate card of a new one. `directory` may be one that others
 * use, too.
 */
export function createHolds(options: {
  sql: Sql;
  rateCards: RateCards;
  now: () => Date;
  directory?: WalletDirectory;
}): Holds {
  const { sql, rateCards, now, directory = createWalletDirectory(options.sql) } = options;
  const writes = createHoldWrites(sql);
  const heartbeats = holdQueue(sql, extendHolds);
  const voids = holdQueue(sql, voidHolds);
  const lookup = createHoldLookup({ sql, rateCards });
  const { find, findWallet, pricesOf, remember } = lookup;

  async function place(
    request: AuthorizeRequest,
    wallet: KnownWallet,
    by: HoldPrices,
    actor: string,
  ) {
    const estimate = priceEstimate(request.estimate, by);
    const write = {
      kind: 'authorize',
      walletId: wallet.walletId,
      alone: wallet.alone,
      holdId: randomUUID(),
      key: ledgerKey('hold', request.key),
      // Not the price: a replay after a price change is still the same request.
      requestHash: requestHash({ ...estimate.asked, ttlSeconds: request.ttlSeconds }),
      amountMicros: estimate.ok ? estimate.amountMicros : null,
      referenceId: request.key,
      rateCardId: by.prices[0]?.card.id ?? null,
      pricing: pricingOf(by, estimate.isGoodwill),
      usageType: estimate.type ?? null,
      destination: estimate.to ?? null,
      ttlSeconds: request.ttlSeconds,
      actor,
      detail: estimate.ok && estimate.report !== null ? { ...estimate.report } : {},
    } as const;
    const outcome = await writes.send(write);
    const { holdId, rateCardId, pricing } = write;
    const expiresAt = outcome.expiresAt?.toISOString();
    // A detail comes when it may say other than this write, as that of a replay.
    const own = { holdId, rateCardId, pricing, expiresAt };
    const placed = (outcome.detail ?? own) as unknown as PlacedDetail;
    return { estimate, outcome, placed };
  }

  /** Places a hold at the prices of its moment, anew when other usage of the month was faster. */
  async function placePriced(
    request: AuthorizeRequest,
    wallet: KnownWallet,
    by: HoldPrices,
    actor: string,
  ) {
    const isTiered = dependsOnMonth(by.prices);
    for (let tries = 0; tries < MAX_PRICINGS; tries += 1) {
      const units = isTiered && { unitsThisMonth: await unitsThisMonth(sql, wallet.walletId) };
      const placed = await place(request, wallet, { ...by, ...units }, actor);
      if (placed.outcome.code !== 'UNITS_MOVED') {
        return placed;
      }
    }
    throw new Fault('OVERLOADED', { retryAfterSeconds: 1 });
  }

  return {
    async authorize(request, actor) {
      const wallet = await directory.find(request.wallet);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const at = now();
      const prices = await rateCards.pricesAt(wallet, at);
      const { timezone } = wallet;
      const { estimate, outcome, placed } = await placePriced(
        request,
        wallet,
        { prices, at, timezone },
        actor,
      );
      if (outcome.code === 'CURRENCY_REQUIRED') {
        directory.forget(request.wallet);
      }
      if (outcome.code !== 'OK') {
        return refusalOf(outcome, wallet.currency, estimate.ok ? '' : estimate.noRate);
      }
      const terms: HoldTerms = {
        holdId: placed.holdId,
        walletId: wallet.walletId,
        userId: wallet.userId,
        currency: wallet.currency,
        timezone,
        rateCardId: placed.rateCardId,
        pricing: placed.pricing ?? null,
        placedAt: outcome.recordedAt,
      };
      if (!outcome.replayed) {
        remember(terms);
      }
      const headroomMicros = placed.headroomMicros ? BigInt(placed.headroomMicros) : null;
      const { replayed, amountMicros: heldMicros, availableMicros } = outcome;
      return {
        ok: true,
        replayed,
        holdId: placed.holdId,
        heldMicros,
        expiresAt: placed.expiresAt,
        availableMicros,
        ...reachOf(
          await pricesOf(terms),
          estimate.type,
          estimate.to,
          heldMicros,
          availableMicros,
          headroomMicros,
        ),
      };
    },

    async extend(request, actor) {
      const hold = await find(request);
      if ('ok' in hold) {
        return hold;
      }
      const by = await pricesOf(hold);
      const usage =
        request.usageSoFar &&
        normalUsage(by.prices, canonicalUsage(request.usageSoFar), 'usageSoFar');
      const priced = usage && reportOf(by, usage);
      const { ttlSeconds = null } = request;
      const addMicros = hold.pricing?.goodwill === true ? null : (request.addMicros ?? null);
      const outcome = await heartbeats.send({
        walletId: hold.walletId,
        holdId: hold.holdId,
        report: priced?.report ?? null,
        amountMicros: priced?.amountMicros ?? null,
        addMicros,
        ttlSeconds,
        actor,
      });
      const { code, detail, headroomMicros } = outcome;
      const limited = code === 'LIMIT_EXCEEDED' && detail !== null;
      if (code !== 'OK' && code !== 'INSUFFICIENT_FUNDS' && !limited) {
        return refusalOfHeartbeat(code, priced?.noRate ?? '');
      }
      const { heldMicros, amountSoFarMicros, expiresAt, availableMicros, lowBalance } = outcome;
      const type = hold.usageType ?? usage?.type;
      const to = (usage && usageDestination(usage)) ?? hold.destination ?? undefined;
      const heartbeat: Heartbeat = {
        holdId: hold.holdId,
        heldMicros,
        amountSoFarMicros,
        expiresAt,
        availableMicros,
        lowBalance,
        ...reachOf(by, type, to, heldMicros, availableMicros, headroomMicros),
      };
      if (code === 'OK') {
        return { ok: true, ...heartbeat };
      }
      return limited
        ? { ...limitRefusal(detail, hold.currency), ...heartbeat }
        : { ...shortageOf(hold, outcome, addMicros), ...heartbeat };
    },

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
