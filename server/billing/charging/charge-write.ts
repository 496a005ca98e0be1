/** What a charge writes, once it is priced. */
import { requestHash, usageKey } from '../../ledger/key.ts';
import type { RateResult } from '../../rating/rate.ts';
import { type Usage, usageUnits } from '../../rating/usage.ts';
import type { QueuedCharge } from '../../store/charges.ts';
import type { ChargeRequest } from './charging.ts';
import type { PricedCharge } from './tiered-charges.ts';
import type { KnownWallet } from './wallet-directory.ts';

/** A request whose wallet and prices are known. */
export interface PreparedCharge {
  readonly request: ChargeRequest;
  readonly wallet: KnownWallet;
  /** As the caller wrote it, which names the request. */
  readonly asked: Usage;
  /** The same, with its destination in normal form. */
  readonly usage: Usage;
}

export function chargeWrite(
  { request, wallet, asked, usage }: PreparedCharge,
  rated: RateResult,
  actor: string,
): QueuedCharge {
  const { occurredAt, overrun, referenceId } = request;
  const { price, goodwillMicros } = rated.ok ? rated.breakdown : {};
  return {
    walletId: wallet.walletId,
    alone: wallet.alone,
    apart: goodwillMicros !== undefined || price?.monthly !== undefined,
    key: usageKey(usage.type, referenceId),
    // Not the price: a replay after a price change is still the same request.
    requestHash: requestHash({ usage: asked, occurredAt: occurredAt?.toISOString() ?? null }),
    amountMicros: rated.ok ? rated.amountMicros : null,
    overrun,
    occurredAt: occurredAt ?? null,
    actor,
    detail: {
      usage,
      units: usageUnits(usage).units,
      referenceId,
      ...(rated.ok && { breakdown: rated.breakdown }),
    },
  };
}

/** What the usage adds to the units of its month, when its price depends on them. */
export function countsOf(rated: RateResult): PricedCharge['counts'] {
  const { price, goodwillMicros } = rated.ok ? rated.breakdown : {};
  return price?.monthly === undefined || goodwillMicros !== undefined
    ? undefined
    : { counter: price.monthly.counter, units: price.billedUnits };
}
