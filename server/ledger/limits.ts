/** Spending limits: what a wallet may spend in a day or a month, and how much of that it has. */
import { dialledDigits } from '../rating/usage.ts';
import { usageMicrosOf } from './event-deltas.ts';
import type { Detail, WalletEvent } from './events.ts';
import type { SpendingLimit } from './limit-list.ts';
import type { OpenWallet } from './state.ts';
import { windowOf } from './window.ts';

/** What usage is, as far as limits ask; null while it is not known. */
export interface UsageKind {
  readonly type: string | null;
  readonly destination: string | null;
}

/** Usage that was billed, or given back: negative then. */
export interface CountedUsage extends UsageKind {
  readonly seq: bigint;
  /** Which window it belongs to. */
  readonly atMs: number;
  readonly holdId: string | null;
  readonly micros: bigint;
}

export interface LimitStanding {
  readonly limit: SpendingLimit;
  readonly spentMicros: bigint;
  /** What other open holds may still spend. */
  readonly reservedMicros: bigint;
  readonly leftMicros: bigint;
  readonly resetsAtMs: number;
}

/**
 * What an event adds to the usage that limits count. What corrects or refunds usage counts as the
 * first bill of it did, so that it never lowers a counter which that did not raise: a refund at the
 * time of that bill, more usage at its own.
 */
export function usageAfter(wallet: OpenWallet, event: WalletEvent): readonly CountedUsage[] {
  const micros = usageMicrosOf(event);
  const holdId = holdIdOf(event);
  // A charge of nothing is counted, too: a re-rating may correct it.
  const isCharge = (event.type === 'charge' || event.type === 'accrual') && holdId === null;
  if (micros === 0n && !isCharge) {
    return wallet.usage;
  }
  const originalSeq = originalSeqOf(event);
  const bill = wallet.usage.find((bill) =>
    holdId === null ? bill.seq === originalSeq : bill.holdId === holdId,
  );
  const usage: CountedUsage = {
    ...(bill ?? kindOf(detailIn(event))),
    seq: wallet.seq + 1n,
    atMs: event.type === 'usage_refund' && bill !== undefined ? bill.atMs : wallet.atMs,
    holdId,
    micros,
  };
  return [...wallet.usage, usage];
}

/** The hold that an event bills, corrects or refunds: a re-rating may be the first to bill any. */
function holdIdOf(event: WalletEvent): string | null {
  const own = 'hold' in event ? event.hold : undefined;
  const rerated = 'rerating' in event ? event.rerating?.hold : undefined;
  return (own ?? rerated)?.holdId ?? null;
}

/** The original that an event refunds or re-rates. */
function originalSeqOf(event: WalletEvent): bigint | undefined {
  if (event.type === 'usage_refund') {
    return event.originalSeq;
  }
  return 'rerating' in event ? event.rerating?.originalSeq : undefined;
}

/** How the wallet's limits stand, without one of its holds. */
export function limitStandings(wallet: OpenWallet, exceptHoldId: string | null): LimitStanding[] {
  const running = [...wallet.holds.values()].filter(
    ({ status, holdId }) => status === 'open' && holdId !== exceptHoldId,
  );
  return wallet.limits.map((limit) => {
    const { startsAtMs, endsAtMs } = windowOf(limit.period, wallet.atMs, wallet.timezone);
    const spentMicros = sum(
      wallet.usage
        .filter((usage) => usage.atMs >= startsAtMs && counts(limit, usage))
        .map(({ micros }) => micros),
    );
    const reservedMicros = sum(
      running
        .filter(({ usageType, destination }) => counts(limit, { type: usageType, destination }))
        .map(({ heldMicros, amountSoFarMicros }) =>
          heldMicros > amountSoFarMicros ? heldMicros : amountSoFarMicros,
        ),
    );
    const restMicros = limit.amountMicros - spentMicros - reservedMicros;
    return {
      limit,
      spentMicros,
      reservedMicros,
      leftMicros: restMicros > 0n ? restMicros : 0n,
      resetsAtMs: endsAtMs,
    };
  });
}

/** Of the limits that are for this usage the one that leaves least, if there is one. */
export function tightestLimit(
  wallet: OpenWallet,
  usage: UsageKind,
  exceptHoldId: string | null,
): LimitStanding | undefined {
  const [tightest] = limitStandings(wallet, exceptHoldId)
    .filter(({ limit }) => counts(limit, usage))
    .sort((a, b) => compare(a.leftMicros, b.leftMicros));
  return tightest;
}

/** What a refusal says of the limit that leaves less than is required. */
export function limitRefused(standing: LimitStanding, requiredMicros: bigint): Detail {
  const { limit, spentMicros, reservedMicros, leftMicros, resetsAtMs } = standing;
  const { period, type, prefix } = limit;
  return {
    limit: { period, ...(type !== null && { type }), ...(prefix !== null && { prefix }) },
    limitMicros: limit.amountMicros.toString(),
    spentMicros: spentMicros.toString(),
    reservedMicros: reservedMicros.toString(),
    requiredMicros: requiredMicros.toString(),
    leftMicros: leftMicros.toString(),
    resetsAt: new Date(resetsAtMs).toISOString(),
  };
}

/** The kind of the usage that the detail of an event tells of. */
export function kindOf({ usage }: { readonly usage?: unknown }): UsageKind {
  const { type, to } = (usage ?? {}) as { type?: unknown; to?: unknown };
  return {
    type: typeof type === 'string' ? type : null,
    destination: typeof to === 'string' ? to : null,
  };
}

function counts(limit: SpendingLimit, { type, destination }: UsageKind): boolean {
  return (
    (limit.type === null || limit.type === type) &&
    (limit.prefix === null || dialledDigits(destination ?? '').startsWith(limit.prefix))
  );
}

function detailIn(event: WalletEvent): Detail {
  return 'detail' in event ? event.detail : {};
}

function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, micros) => total + micros, 0n);
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
