/** Holds as the tests of what writes them want them. */
import { randomUUID } from 'node:crypto';
import { ledgerKey, requestHash } from '../ledger/key.ts';
import { outcomeColumns } from './charges.ts';
import type { HoldCapture, HoldLedgerOutcome, HoldPlacing } from './holds.ts';
import { only, type Sql } from './sql.ts';
import { actor } from './wallets.fixtures.ts';

const PRICED_BY = randomUUID();

export function placing(
  walletId: string,
  reference: string,
  amountMicros: bigint | null,
  change: Partial<HoldPlacing> = {},
): HoldPlacing {
  return {
    kind: 'authorize',
    walletId,
    holdId: holdIdOf(walletId, reference),
    key: ledgerKey('hold', reference),
    requestHash: requestHash({ amountMicros }),
    amountMicros,
    referenceId: reference,
    rateCardId: PRICED_BY,
    pricing: {},
    usageType: 'call',
    destination: null,
    ttlSeconds: 300,
    actor,
    detail: { note: 'quotes " and \\ and {braces}, zwölf' },
    ...change,
  };
}

export function capture(
  walletId: string,
  reference: string,
  amountMicros: bigint | null,
  change: Partial<HoldCapture> = {},
): HoldCapture {
  const breakdown = { amountMicros: String(amountMicros), ...goodwillOf(amountMicros) };
  return {
    kind: 'capture',
    walletId,
    holdId: holdIdOf(walletId, reference),
    key: ledgerKey('hold_capture', reference),
    requestHash: requestHash({ amountMicros }),
    report: { usage: { type: 'call' }, units: 43, breakdown },
    amountMicros,
    overrun: 'refuse',
    actor,
    ...change,
  };
}

/** Usage that is free is goodwill here, which stands in an event of its own. */
function goodwillOf(amountMicros: bigint | null) {
  return amountMicros === 0n ? { goodwillMicros: '7' } : {};
}

function holdIdOf(walletId: string, reference: string): string {
  return ledgerKey(walletId, reference);
}

/** What `writeHolds` writes, by the function of one hold. */
export async function writeAlone(
  app: Sql,
  write: HoldPlacing | HoldCapture,
): Promise<HoldLedgerOutcome> {
  const { walletId, holdId, key, requestHash, amountMicros } = write;
  const [outcome] =
    write.kind === 'authorize'
      ? await app<HoldLedgerOutcome[]>`
          select ${outcomeColumns(app)} from authorize_hold(${walletId}, ${holdId}, ${key},
            ${requestHash}, ${amountMicros}, ${write.referenceId}, ${write.rateCardId},
            ${write.usageType}, ${write.destination}, ${write.ttlSeconds}, ${write.actor},
            ${JSON.stringify(write.detail)}::text::jsonb,
            ${JSON.stringify(write.pricing)}::text::jsonb)`
      : await app<HoldLedgerOutcome[]>`
          select ${outcomeColumns(app)} from capture_hold(${walletId}, ${holdId}, ${key},
            ${requestHash}, ${write.report && JSON.stringify(write.report)}::text::jsonb,
            ${amountMicros}, ${write.overrun}, ${write.actor})`;
  return only(outcome);
}
