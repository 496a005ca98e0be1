/** Correcting the price of usage that was billed, once for each re-rating. */
import { hash } from 'node:crypto';
import { reratingDue } from '../rating/rerating.ts';
import { chargeWallet } from './charges.ts';
import { type Decision, maxStandingMicros, type ReratingOutcome } from './decision.ts';
import type { Detail, WalletEvent } from './events.ts';
import { goodwillIn } from './goodwill.ts';
import { ledgerKey } from './key.ts';
import { type Original, originalAt, standingOf } from './originals.ts';
import { giveBackOf } from './refunds.ts';
import type { OpenWallet } from './state.ts';

export interface RerateUsage {
  readonly type: 'rerate_usage';
  readonly reratingId: string;
  readonly cardId: string;
  /** Whether what had cost too little is charged. */
  readonly debits: boolean;
  readonly reason: string;
  /** The event that billed the usage, and what it had billed when the price was made. */
  readonly originalSeq: bigint;
  readonly billedMicros: bigint;
  readonly priceMicros: bigint;
  readonly breakdown: Detail;
  readonly actor: string;
}

/**
 * What was too dear is given back; what was too cheap is charged, and what the wallet cannot fund is
 * owed. The same re-rating again answers what it posted; one that posts nothing is not remembered.
 */
export function rerateUsage(command: RerateUsage, state: OpenWallet, nowMs: number): Decision {
  const { reratingId, originalSeq, billedMicros, priceMicros, debits } = command;
  const posted = state.originals.corrections.get(originalSeq)?.posted.get(reratingId);
  if (posted !== undefined) {
    return answering('OK', posted);
  }
  const original = originalAt(state, originalSeq);
  const usage = original && usageOf(state, original);
  if (usage === undefined || original?.billedMicros !== billedMicros) {
    return answering('CHANGED', 0n);
  }
  const dueMicros = reratingDue(priceMicros, standingOf(state, original));
  if (dueMicros === 0n || (dueMicros > 0n && !debits)) {
    return answering('OK', 0n);
  }
  return dueMicros > 0n
    ? debit(command, state, original, usage, dueMicros)
    : credit(command, state, original, usage, -dueMicros, nowMs);
}

/** The usage that an original billed, if it can be priced again. */
function usageOf(wallet: OpenWallet, original: Original): { readonly usage: unknown } | undefined {
  const { hold, detail, isDifference, seq, billedMicros } = original;
  if (isDifference) {
    return undefined;
  }
  // What was charged later for free usage, and then refunded, leaves no share that could be priced.
  if (billedMicros === 0n && wallet.originals.refunded.has(seq)) {
    return undefined;
  }
  if (hold === undefined) {
    return { usage: detail.usage ?? null };
  }
  return hold.status === 'voided' || hold.report === null || goodwillIn(hold.report) !== undefined
    ? undefined
    : { usage: hold.report.usage };
}

function debit(
  command: RerateUsage,
  state: OpenWallet,
  original: Original,
  { usage }: { readonly usage: unknown },
  amountMicros: bigint,
): Decision {
  const { reratingId, originalSeq, priceMicros, breakdown, actor } = command;
  const { hold } = original;
  const { outcome, events } = chargeWallet(
    {
      type: 'charge_wallet',
      key: ledgerKey('rerating', `${reratingId} ${originalSeq}`),
      requestHash: requestOf(command),
      amountMicros,
      overrun: 'arrears',
      actor,
      detail: {
        ...toldOf(command, original, usage),
        originalSeq: `${originalSeq}`,
        usage,
        units: 0,
        breakdown,
        alreadyBilledMicros: `${priceMicros - amountMicros}`,
      },
    },
    state,
    state.atMs,
  );
  const [charged] = events;
  if (charged?.type !== 'charge' && charged?.type !== 'accrual') {
    return answering(outcome.code as ReratingOutcome['code'], 0n);
  }
  const burned = [...original.burned, ...(charged.grants ?? [])];
  const rerating = { reratingId, originalSeq, ...(hold && { hold: { ...hold, burned } }) };
  return answering('OK', amountMicros, [{ ...charged, rerating }]);
}

function credit(
  command: RerateUsage,
  state: OpenWallet,
  original: Original,
  { usage }: { readonly usage: unknown },
  amountMicros: bigint,
  nowMs: number,
): Decision {
  if (state.status === 'closed') {
    return answering('WALLET_CLOSED', 0n);
  }
  if (state.balanceMicros > maxStandingMicros) {
    return answering('LIMIT_EXCEEDED', 0n);
  }
  const { reratingId, originalSeq, actor } = command;
  const key = ledgerKey('rerating', `${reratingId} ${originalSeq} ${originalSeq}`);
  const by = { key, requestHash: requestOf(command), actor };
  const given = { amountMicros, reratingId, detail: toldOf(command, original, usage) };
  return answering('OK', -amountMicros, giveBackOf(by, state, original, given, nowMs));
}

/** What a correction says of itself. */
function toldOf(
  { reratingId, cardId, reason, priceMicros }: RerateUsage,
  { hold, detail }: Original,
  usage: unknown,
): Detail {
  return {
    type: (usage as { readonly type?: string } | null)?.type ?? null,
    referenceId: hold?.referenceId ?? detail.referenceId ?? null,
    reason,
    rerating: { id: reratingId, cardId, priceMicros: `${priceMicros}` },
  };
}

function requestOf({ reratingId, originalSeq, priceMicros }: RerateUsage): string {
  return hash('sha256', `rerating ${reratingId} ${originalSeq} ${priceMicros}`, 'hex');
}

function answering(
  code: ReratingOutcome['code'],
  postedMicros: bigint,
  events: readonly WalletEvent[] = [],
): Decision {
  return { outcome: { code, postedMicros }, events };
}
