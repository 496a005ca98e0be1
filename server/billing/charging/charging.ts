/** Pricing usage and charging it: from a service's words to one SQL function call. */
import { Fault } from '../../faults.ts';
import type { UnitsThisMonth } from '../../rating/price-list.ts';
import { type Breakdown, type RateResult, rate } from '../../rating/rate.ts';
import { canonicalUsage, type Usage, usageUnits } from '../../rating/usage.ts';
import { chargeMany, type QueuedCharge } from '../../store/charges.ts';
import { unitsThisMonth } from '../../store/monthly-units.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { WalletView } from '../../views/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';
import { chargeWrite, countsOf, type PreparedCharge } from './charge-write.ts';
import { type BilledHold, billedHold, heldUsage, refusedTooEarly } from './held-usage.ts';
import { createHolds, type Holds } from './holds.ts';
import type { Posted } from './posted.ts';
import { normalUsage } from './pricing.ts';
import { type Refusal, refusal } from './refusals.ts';
import { createTieredCharges } from './tiered-charges.ts';
import { createWalletDirectory, type WalletDirectory } from './wallet-directory.ts';
import { createWriteQueue } from './write-queue.ts';

/** How far a service's clock may run ahead of ours. */
const MAX_CLOCK_LEAD_MS = 5 * 60_000;

export interface ChargeRequest {
  readonly wallet: WalletName;
  readonly usage: Usage;
  /** The caller's own name for this usage; with the usage's type it is the idempotency key. */
  readonly referenceId: string;
  /** When it was used, a call when it began; by default now. Prices are those of that instant. */
  readonly occurredAt?: Date | undefined;
  /** What happens to the part that the wallet cannot fund. */
  readonly overrun: 'refuse' | 'arrears';
}

export type ChargeAnswer =
  | (Posted & {
      arrearsMicros: bigint;
      breakdown: Breakdown;
      /** The usage was authorized under its reference: this hold bills it, and nothing beside. */
      hold?: BilledHold;
    })
  | Refusal;

export type QuoteAnswer =
  | { ok: true; amountMicros: bigint; currency: string; breakdown: Breakdown }
  | Extract<Refusal, { code: 'WALLET_NOT_FOUND' | 'NO_RATE' }>;

export interface Charging {
  /** Prices usage for a wallet and writes nothing. */
  quote(wallet: WalletName, usage: Usage, at?: Date): Promise<QuoteAnswer>;
  /**
   * Charges usage once; the same request again gets the first answer, marked `replayed`. Usage that
   * was authorized under the reference is billed by its hold: a charge of what is billed already is a
   * replay, and one of a hold that is open or ran out is its final record, as a capture is. What a
   * voided hold did not bill is charged.
   */
  charge(request: ChargeRequest, actor: string): Promise<ChargeAnswer>;
  /**
   * Charges each item by itself, those of a wallet in their order: one refusal fails no other. An item
   * that settles an open hold does so after the others; when that frees what an item behind it was
   * refused for, this is tried again, but what was booked as arrears by then stays so. Throws a
   * `BAD_REQUEST` that names a malformed item before any is charged. One mistake alone can come to
   * light after other items were charged: a user named without a currency got a second wallet this
   * moment. Send the corrected batch again then; what was charged is replayed.
   */
  chargeBatch(requests: readonly ChargeRequest[], actor: string): Promise<ChargeAnswer[]>;
}

interface RatedCharge extends PreparedCharge {
  /** The price by the units used this month, on which most prices do not depend. */
  readonly rate: (unitsThisMonth: UnitsThisMonth) => RateResult;
  /** The price as if nothing had been used this month. */
  readonly rated: RateResult;
}

/**
 * The charging use cases. `now` is the instant of usage that does not say its own. `directory` and
 * `holds` may be shared with other use cases. Batches of charges go over `lines`, clients of one
 * connection each; without them over any connections of `sql`, where none follows another early.
 */
export function createCharging(options: {
  sql: Sql;
  rateCards: RateCards;
  now: () => Date;
  directory?: WalletDirectory;
  holds?: Pick<Holds, 'capture'>;
  lines?: readonly Sql[];
}): Charging {
  const { sql, lines, rateCards, now, directory = createWalletDirectory(options.sql) } = options;
  const { capture } = options.holds ?? createHolds({ sql, rateCards, now, directory });
  const queue = createWriteQueue({
    apply: (charges: readonly QueuedCharge[], line) => chargeMany(lines?.[line] ?? sql, charges),
    // `charge_many` takes each key of a wallet once.
    uniqueBy: ({ walletId, key }) => walletId + key,
    maxBatch: 500,
    lanes: lines?.length ?? 2,
    inOrder: lines !== undefined,
    together: 200,
  });
  const tieredCharges = createTieredCharges({
    send: (charge) => queue.send(charge),
    unitsThisMonth: (walletId) => unitsThisMonth(sql, walletId),
  });

  async function priceFor(
    wallet: Pick<WalletView, 'currency' | 'timezone' | 'userId'>,
    asked: Usage,
    at: Date,
  ): Promise<Pick<RatedCharge, 'usage' | 'rate' | 'rated'>> {
    if (at.getTime() > now().getTime() + MAX_CLOCK_LEAD_MS) {
      throw new Fault('BAD_REQUEST', { publicMessage: 'occurredAt: must not be in the future' });
    }
    const prices = await rateCards.pricesAt(wallet, at);
    const usage = normalUsage(prices, asked, 'usage');
    const { timezone } = wallet;
    const rateBy = (unitsThisMonth: UnitsThisMonth) =>
      rate(prices, usage, { at, timezone, unitsThisMonth });
    return { usage, rate: rateBy, rated: rateBy({}) };
  }

  /** Reads what a charge needs; null without a wallet. Throws `BAD_REQUEST` for a malformed request. */
  async function prepare(request: ChargeRequest): Promise<RatedCharge | null> {
    const wallet = await directory.find(request.wallet);
    if (wallet === null) {
      return null;
    }
    const asked = canonicalUsage(request.usage);
    const priced = await priceFor(wallet, asked, request.occurredAt ?? now());
    return { request, wallet, asked, ...priced };
  }

  /** `inLine` behind the wallet's other charges whose price depends on the month. */
  async function write(prepared: RatedCharge, actor: string, inLine: boolean) {
    if (!inLine) {
      const charge = chargeWrite(prepared, prepared.rated, actor);
      return { charge, outcome: await queue.send(charge) };
    }
    return tieredCharges.charge(prepared.wallet.walletId, (unitsThisMonth) => {
      const rated = prepared.rate(unitsThisMonth);
      return { charge: chargeWrite(prepared, rated, actor), counts: countsOf(rated) };
    });
  }

  /** The charge as the final record of a hold; null when that has ended meanwhile. */
  async function settle(
    { request, wallet, asked }: RatedCharge,
    holdId: string,
    actor: string,
  ): Promise<ChargeAnswer | null> {
    const { overrun } = request;
    const captured = await capture({ wallet, holdId, usage: asked, overrun }, actor);
    if (captured.ok) {
      const { holdId, alreadyBilledMicros, ...billed } = captured;
      return { ...billed, hold: { holdId, alreadyBilledMicros, units: usageUnits(asked).units } };
    }
    return captured.code === 'HOLD_NOT_FOUND' || captured.code === 'HOLD_NOT_OPEN'
      ? null
      : captured;
  }

  async function post(
    prepared: RatedCharge | null,
    actor: string,
    inLine: boolean,
  ): Promise<ChargeAnswer> {
    if (prepared === null) {
      return { ok: false, code: 'WALLET_NOT_FOUND' };
    }
    const { request, wallet, rated } = prepared;
    const { charge, outcome } = await write(prepared, actor, inLine);
    if (outcome.code !== 'OK') {
      const held = heldUsage(outcome);
      if (held !== null && held.status !== 'captured') {
        // Whoever ends it meanwhile has decided what the charge is answered.
        return (await settle(prepared, held.holdId, actor)) ?? post(prepared, actor, inLine);
      }
      if (outcome.code === 'CURRENCY_REQUIRED') {
        directory.forget(request.wallet);
      }
      return refusal(outcome, wallet.currency, rated.ok ? '' : rated.detail);
    }
    // The answer to a new charge does not bring its detail back.
    const { breakdown } = (outcome.detail ?? charge.detail) as { breakdown: Breakdown };
    const { replayed, seq, amountMicros, balanceMicros, availableMicros, arrearsMicros } = outcome;
    return {
      ok: true,
      replayed,
      seq,
      amountMicros,
      balanceMicros,
      availableMicros,
      arrearsMicros,
      breakdown,
      ...billedHold(outcome),
    };
  }

  return {
    async charge(request, actor) {
      const prepared = await prepare(request);
      return post(prepared, actor, isTiered(prepared));
    },

    async quote(name, usage, at) {
      const wallet = await onlyWallet(sql, name);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const priced = await priceFor(wallet, canonicalUsage(usage), at ?? now());
      const rated = isTiered(priced)
        ? priced.rate(await unitsThisMonth(sql, wallet.walletId))
        : priced.rated;
      return rated.ok
        ? {
            ok: true,
            amountMicros: rated.amountMicros,
            currency: wallet.currency,
            breakdown: rated.breakdown,
          }
        : { ok: false, code: 'NO_RATE', message: rated.detail };
    },

    async chargeBatch(requests, actor) {
      // Prepared first: a malformed item refuses the whole batch before anything is charged.
      // All at once, so that unknown wallets are looked up together.
      const prepared = await Promise.all(
        requests.map((request, index) =>
          prepare(request).catch((error) => throwForItem(index, error)),
        ),
      );
      // One wallet's charges keep their order in the queue, or else in their line.
      const lines = new Set(prepared.filter(isTiered).map((item) => item?.wallet.walletId));
      const charge = (item: RatedCharge | null, index: number) =>
        post(item, actor, lines.has(item?.wallet.walletId)).catch((error) =>
          throwForItem(index, error),
        );
      const answers = await Promise.all(prepared.map(charge));
      const again = refusedTooEarly(answers, (index) => prepared[index]?.wallet.walletId);
      await Promise.all(
        again.map(async (index) => {
          answers[index] = await charge(prepared[index] ?? null, index);
        }),
      );
      return answers;
    },
  };
}

/** Whether its price depends on what was used this month. */
function isTiered(priced: Pick<RatedCharge, 'rated'> | null): boolean {
  return priced !== null && countsOf(priced.rated) !== undefined;
}

/** Says which item of a batch is malformed, as the messages of schemas do. */
function throwForItem(index: number, error: unknown): never {
  if (error instanceof Fault && error.code === 'BAD_REQUEST') {
    const publicMessage = `items.${index}.${error.publicMessage}`;
    throw new Fault('BAD_REQUEST', { publicMessage, cause: error });
  }
  throw error;
}
