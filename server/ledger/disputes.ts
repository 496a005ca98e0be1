/** Payments that the cardholder's bank takes back, or tries to. */
import { applied, type Decision, refuse, repayArrears } from './decision.ts';
import type { Detail, WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { isFrozenByDispute, isSuspended } from './freezing.ts';
import { most } from './money.ts';
import type { Dispute, DisputeState } from './payments.ts';
import type { OpenWallet } from './state.ts';

/** What the processor says of a dispute. An inquiry moves nothing until the bank disputes. */
export interface ApplyDispute {
  readonly type: 'apply_dispute';
  readonly disputeId: string;
  readonly paymentKey: string;
  readonly amountMicros: bigint;
  readonly state: 'inquiry' | 'inquiry_closed' | DisputeState;
  /** All that the bank has ever taken for it, and given back. */
  readonly withdrawnMicros: bigint;
  readonly reinstatedMicros: bigint;
  readonly actor: string;
  readonly detail: Detail;
}

const ranks = { inquiry: 0, inquiry_closed: 1, open: 2, lost: 3, won: 4 } as const;

/**
 * Brings the ledger to what a dispute is now. It freezes the wallet when it opens, and the end of it
 * unfreezes the wallet when the money stays here and no other dispute and no person keeps it frozen.
 * What was taken and given back only grows and a state is never left for an earlier one, so what is
 * heard late changes nothing.
 */
export function applyDispute(command: ApplyDispute, wallet: OpenWallet, nowMs: number): Decision {
  const { disputeId, paymentKey, amountMicros, actor } = command;
  if (!wallet.payments.credited.has(paymentKey)) {
    return refuse('PAYMENT_NOT_CREDITED', wallet, amountMicros);
  }
  const known = wallet.payments.disputes.get(disputeId);
  if (known !== undefined && known.paymentKey !== paymentKey) {
    return refuse('PAYMENT_DIFFERS', wallet, amountMicros);
  }
  if (command.state === 'inquiry' || command.state === 'inquiry_closed') {
    return applied(wallet, amountMicros, []);
  }
  const before = known ?? opening(command.state, wallet, { disputeId, paymentKey });
  const state = ranks[command.state] > ranks[before.state] ? command.state : before.state;
  const now: Dispute = {
    ...before,
    state,
    withdrawnMicros: most(before.withdrawnMicros, command.withdrawnMicros),
    reinstatedMicros: most(before.reinstatedMicros, command.reinstatedMicros),
    freezes: before.freezes && state !== 'won',
  };
  const detail = { ...command.detail, disputeId };
  const events: WalletEvent[] = [];
  let after = wallet;
  const add = (...more: readonly WalletEvent[]) => {
    events.push(...more);
    after = more.reduce(evolve, after);
  };
  if (known === undefined) {
    add({ type: 'dispute_opened', dispute: now, actor, detail });
    if (now.freezes && wallet.status === 'open') {
      const why = { disputeId, reason: 'A payment is disputed' };
      add({ type: 'wallet_frozen', byDispute: true, actor, detail: why });
    }
  }
  const withdrawnMicros = now.withdrawnMicros - before.withdrawnMicros;
  if (withdrawnMicros > 0n) {
    add({ type: 'dispute_withdrawn', amountMicros: withdrawnMicros, dispute: now, actor, detail });
  }
  const reinstatedMicros = now.reinstatedMicros - before.reinstatedMicros;
  if (reinstatedMicros > 0n) {
    add({
      type: 'dispute_reinstated',
      amountMicros: reinstatedMicros,
      dispute: now,
      actor,
      detail,
    });
    add(...repayArrears(after, actor, nowMs));
  }
  if (now.state !== 'open' && (known === undefined || now.state !== before.state)) {
    const outcome = { ...detail, outcome: now.state };
    add({ type: 'dispute_closed', dispute: now, actor, detail: outcome });
  }
  const isHeld = isFrozenByDispute(after) || isSuspended(after);
  if (before.freezes && !now.freezes && after.status === 'frozen' && !isHeld) {
    const why = { disputeId, reason: 'The dispute has ended' };
    add({ type: 'wallet_unfrozen', actor, detail: why });
  }
  return applied(wallet, amountMicros, events);
}

/** A dispute that was not heard of before. A wallet that a person froze is that person's to open. */
function opening(
  state: DisputeState,
  wallet: OpenWallet,
  ids: Pick<Dispute, 'disputeId' | 'paymentKey'>,
): Dispute {
  const mayFreeze = wallet.status === 'open' || isFrozenByDispute(wallet) || isSuspended(wallet);
  return {
    ...ids,
    state,
    withdrawnMicros: 0n,
    reinstatedMicros: 0n,
    freezes: mayFreeze && state !== 'won',
  };
}
