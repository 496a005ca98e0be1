/** Why usage cost what it cost: each charge, priced anew by the card that priced it then. */
import { z } from 'zod';
import { ledgerKey, usageKey } from '../../ledger/key.ts';
import { microsSchema } from '../../ledger/money.ts';
import { rate } from '../../rating/rate.ts';
import { type UsageType, usageSchema, usageUnits } from '../../rating/usage.ts';
import { type ChargeEvent, eventsAt, eventsOfReference } from '../../store/charge-events.ts';
import { type Correction, correctionsOf } from '../../store/reratings.ts';
import type { Sql } from '../../store/sql.ts';
import type { WalletName } from '../../store/wallets.ts';
import type { RateCards } from '../rate-cards/rate-cards.ts';
import { onlyWallet } from '../wallets/wallet-by-name.ts';

interface Position {
  balanceMicros: bigint;
  heldMicros: bigint;
  arrearsMicros: bigint;
}

/** An event that billed usage. A hold may have several: its end, and what was corrected later. */
export interface Explanation {
  seq: bigint;
  type: string;
  referenceId: string | null;
  holdId: string | null;
  actor: string;
  occurredAt: Date;
  recordedAt: Date;
  /** Null where a hold was voided: nothing was delivered. */
  usage: unknown;
  units: number | null;
  rateCardId: string | null;
  rateCardVersion: number | null;
  /** The rule that matched; null when the usage is free and the card has none for it. */
  ruleId: string | null;
  /** The stored breakdown: prices, increments, rounding and limits. */
  breakdown: unknown;
  /** The price of all of this usage. */
  amountMicros: bigint;
  /** The part of its price that is goodwill, because the destination must always connect. */
  goodwillMicros: bigint;
  /** The part of it that earlier events of the same hold had billed. */
  alreadyBilledMicros: bigint;
  /** What this event billed, taken, reserved or owed; negative for what it gave back. */
  billedMicros: bigint;
  takenMicros: bigint;
  reservedMicros: bigint;
  owedMicros: bigint;
  /** Promotional credit that paid for it, by the event that granted it. */
  grants: { seq: string; micros: string }[];
  /** What was refunded of the charge or hold by now. */
  refundedMicros: bigint;
  before: Position;
  after: Position;
  hash: string;
  /** The event's hash is that of its content and of the event before it. */
  intact: boolean;
  /** What re-ratings have posted for it since, oldest first. */
  corrections: Omit<Correction, 'seq'>[];
  /** The price by the stored card for the stored usage; null when they cannot be read. */
  recomputedMicros: bigint | null;
  /** It is intact, and what it says and billed is what it costs. */
  matches: boolean;
}

export type ExplainAnswer =
  | { ok: true; walletId: string; currency: string; charges: Explanation[] }
  /** No such usage was billed. */
  | { ok: false; code: 'WALLET_NOT_FOUND' | 'USAGE_NOT_FOUND' };

export type ChargeName =
  | { readonly seq: bigint }
  | { readonly type: UsageType; readonly referenceId: string };

export interface Explaining {
  /** Explains a charge, or all that a hold billed, oldest first. */
  explain(wallet: WalletName, charge: ChargeName): Promise<ExplainAnswer>;
  /** Explains those of the events that billed usage. */
  explainEvents(walletId: string, seqs: readonly bigint[]): Promise<Explanation[]>;
}

/** What a charge's detail holds; anybody may have tampered with it. */
const detailSchema = z.object({
  referenceId: z.string().nullish(),
  holdId: z.string().nullish(),
  units: z.number().nullish(),
  alreadyBilledMicros: microsSchema.nullish(),
  grants: z.array(z.object({ seq: z.string(), micros: z.string() })).nullish(),
});
const breakdownSchema = z.object({
  rateCardId: z.string(),
  rateCardVersion: z.number(),
  ruleId: z.string().nullish(),
  timeOfDay: z.object({ at: z.coerce.date(), timezone: z.string() }).nullish(),
  price: z
    .object({ monthly: z.object({ counter: z.string(), unitsBefore: z.number() }).nullish() })
    .nullish(),
  goodwillMicros: microsSchema.nullish(),
  amountMicros: microsSchema,
});
type StoredBreakdown = z.output<typeof breakdownSchema>;

export function createExplaining(options: { sql: Sql; rateCards: RateCards }): Explaining {
  const { sql, rateCards } = options;

  /** Null when the card is gone or the usage is none. */
  async function priceAnew(usage: unknown, breakdown: StoredBreakdown): Promise<bigint | null> {
    const parsed = usageSchema.safeParse(usage);
    const card = await rateCards.byId(breakdown.rateCardId);
    if (!parsed.success || card === null) {
      return null;
    }
    const { at, timezone } = breakdown.timeOfDay ?? { at: new Date(0), timezone: 'UTC' };
    const { counter, unitsBefore } = breakdown.price?.monthly ?? { counter: '', unitsBefore: 0 };
    const unitsThisMonth = { [counter]: unitsBefore };
    const rated = rate([card], parsed.data, { at, timezone, unitsThisMonth });
    if (rated.ok) {
      return rated.amountMicros + BigInt(rated.breakdown.goodwillMicros ?? 0);
    }
    // What must always connect is reached without a price.
    return breakdown.goodwillMicros === 0n ? 0n : null;
  }

  async function explanationOf(
    event: ChargeEvent,
    corrections: Explanation['corrections'],
  ): Promise<Explanation | null> {
    const detail = detailSchema.safeParse(event.detail).data;
    const corrects = event.detail.alreadyBilledMicros !== undefined;
    const voided = corrects && event.detail.breakdown === undefined;
    if (!BILLING_TYPES.has(event.type) || !(corrects || event.detail.breakdown !== undefined)) {
      return null;
    }
    const breakdown = breakdownSchema.safeParse(event.detail.breakdown).data;
    const recomputedMicros = voided
      ? 0n
      : breakdown === undefined
        ? null
        : await priceAnew(event.detail.usage, breakdown);
    const amountMicros = breakdown?.amountMicros ?? 0n;
    const goodwillMicros = breakdown?.goodwillMicros ?? 0n;
    const payableMicros = recomputedMicros === null ? null : recomputedMicros - goodwillMicros;
    const alreadyBilledMicros = detail?.alreadyBilledMicros ?? 0n;
    const { billedMicros, refundedMicros } = event;
    const settledMicros = alreadyBilledMicros + billedMicros;
    // What was refunded before a late record came is not given back once more.
    const billsItsPrice =
      settledMicros === payableMicros ||
      (corrects && settledMicros > amountMicros && settledMicros <= refundedMicros);
    return {
      seq: event.seq,
      type: event.type,
      referenceId: detail?.referenceId ?? null,
      holdId: detail?.holdId ?? null,
      actor: event.actor,
      occurredAt: event.occurredAt,
      recordedAt: event.recordedAt,
      usage: event.detail.usage ?? null,
      units: detail?.units ?? null,
      rateCardId: breakdown?.rateCardId ?? null,
      rateCardVersion: breakdown?.rateCardVersion ?? null,
      ruleId: breakdown?.ruleId ?? null,
      breakdown: event.detail.breakdown ?? null,
      amountMicros,
      goodwillMicros,
      alreadyBilledMicros,
      billedMicros,
      takenMicros: -event.balanceDeltaMicros,
      reservedMicros: event.type === 'accrual' ? event.heldDeltaMicros : 0n,
      owedMicros: event.arrearsDeltaMicros,
      grants: detail?.grants ?? [],
      refundedMicros,
      ...positionsOf(event),
      hash: event.hash,
      intact: event.intact,
      corrections,
      recomputedMicros,
      matches:
        event.intact &&
        payableMicros === amountMicros &&
        billsItsPrice &&
        (corrects || detail?.units === unitsOf(event.detail.usage)),
    };
  }

  async function explained(
    walletId: string,
    events: readonly ChargeEvent[],
  ): Promise<Explanation[]> {
    const corrections = await correctionsOf(
      sql,
      walletId,
      events.map(({ seq }) => seq),
    );
    const explanations = await Promise.all(
      events.map((event) => {
        const own = corrections.filter(({ seq }) => seq === event.seq);
        return explanationOf(
          event,
          own.map(({ seq, ...correction }) => correction),
        );
      }),
    );
    return explanations.filter((explanation) => explanation !== null);
  }

  return {
    async explain(name, charge) {
      const wallet = await onlyWallet(sql, name);
      if (wallet === null) {
        return { ok: false, code: 'WALLET_NOT_FOUND' };
      }
      const { walletId, currency } = wallet;
      const events =
        'seq' in charge
          ? await endAt(sql, walletId, charge.seq)
          : await eventsOfReference(sql, walletId, {
              chargeKey: usageKey(charge.type, charge.referenceId),
              holdKey: ledgerKey('hold', charge.referenceId),
              usageType: charge.type,
            });
      const charges = await explained(walletId, events);
      return charges.length === 0
        ? { ok: false, code: 'USAGE_NOT_FOUND' }
        : { ok: true, walletId, currency, charges };
    },

    explainEvents: async (walletId, seqs) =>
      explained(walletId, await eventsAt(sql, walletId, seqs)),
  };
}

const BILLING_TYPES: ReadonlySet<string> = new Set([
  'charge',
  'accrual',
  'goodwill',
  'hold_captured',
  'hold_expired',
  'usage_refund',
]);

/** An event, or what stands behind it when it only releases a hold. */
async function endAt(sql: Sql, walletId: string, seq: bigint): Promise<ChargeEvent[]> {
  const events = await eventsAt(sql, walletId, [seq, seq + 1n]);
  const event = events.find((found) => found.seq === seq);
  const next = events.find((found) => found.seq === seq + 1n);
  const isRelease = event?.type === 'hold_captured' || event?.type === 'hold_expired';
  const isBilledNext =
    (next?.type === 'accrual' || next?.type === 'goodwill') &&
    next.detail.holdId === event?.detail.holdId;
  const billing = isRelease && isBilledNext ? next : event;
  return billing === undefined ? [] : [billing];
}

function positionsOf(event: ChargeEvent): { before: Position; after: Position } {
  const { balanceMicros, heldMicros, arrearsMicros } = event;
  return {
    before: {
      balanceMicros: balanceMicros - event.balanceDeltaMicros,
      heldMicros: heldMicros - event.heldDeltaMicros,
      arrearsMicros: arrearsMicros - event.arrearsDeltaMicros,
    },
    after: { balanceMicros, heldMicros, arrearsMicros },
  };
}

function unitsOf(usage: unknown): number | null {
  const parsed = usageSchema.safeParse(usage);
  return parsed.success ? usageUnits(parsed.data).units : null;
}
