import { test } from 'vitest';
import type { Command } from './decide.ts';
import type { ApplyDispute } from './disputes.ts';
import type { WalletEvent } from './events.ts';
import type { Dispute } from './payments.ts';
import { given, live, requestHash } from './specification.fixtures.ts';

const actor = 'stripe:du_1';
const paymentKey = '11111111-1111-4111-8111-111111111111';

const paid: WalletEvent = {
  ...{ type: 'top_up', key: paymentKey, requestHash, amountMicros: 10n, actor, detail: {} },
};

const told = (changes: Partial<ApplyDispute>): Command => ({
  type: 'apply_dispute',
  disputeId: 'du_1',
  paymentKey,
  amountMicros: 10n,
  state: 'open',
  withdrawnMicros: 0n,
  reinstatedMicros: 0n,
  actor,
  detail: {},
  ...changes,
});

const open: Dispute = {
  disputeId: 'du_1',
  paymentKey,
  state: 'open',
  withdrawnMicros: 0n,
  reinstatedMicros: 0n,
  freezes: true,
};
const taken: Dispute = { ...open, withdrawnMicros: 10n };
const won: Dispute = { ...taken, state: 'won', reinstatedMicros: 10n, freezes: false };
const detail = { disputeId: 'du_1' };

const opening = (dispute: Dispute): WalletEvent => {
  return { type: 'dispute_opened', dispute, actor, detail };
};
const withdrawn = (dispute: Dispute): WalletEvent => {
  return { type: 'dispute_withdrawn', amountMicros: 10n, dispute, actor, detail };
};
const reinstated: WalletEvent = {
  ...{ type: 'dispute_reinstated', amountMicros: 10n, dispute: won, actor, detail },
};
const closing = (dispute: Dispute): WalletEvent => ({
  ...{ type: 'dispute_closed', dispute, actor, detail: { ...detail, outcome: dispute.state } },
});
const frozen: WalletEvent = {
  type: 'wallet_frozen',
  byDispute: true,
  actor,
  detail: { ...detail, reason: 'A payment is disputed' },
};
const unfrozen: WalletEvent = {
  ...{ type: 'wallet_unfrozen', actor, detail: { ...detail, reason: 'The dispute has ended' } },
};
const byHand: WalletEvent = { type: 'wallet_frozen', actor: 'support:x', detail: {} };

test('an open dispute freezes the wallet and takes nothing until the bank does', () => {
  given(live, paid)
    .when(told({}))
    .thenEvents(opening(open), frozen)
    .answering({ code: 'OK', replayed: false, balanceMicros: 10n });
  given(live, paid, opening(open), frozen)
    .when(told({ withdrawnMicros: 10n }))
    .thenEvents(withdrawn(taken))
    .answering({ code: 'OK', balanceMicros: 0n });
});

test('a dispute that is won gives back what was taken and unfreezes the wallet', () => {
  given(live, paid, opening(open), frozen, withdrawn(taken))
    .when(told({ state: 'won', withdrawnMicros: 10n, reinstatedMicros: 10n }))
    .thenEvents(reinstated, closing(won), unfrozen)
    .answering({ code: 'OK', balanceMicros: 10n });
});

test('what was taken goes below zero when it was spent, and stays so when the dispute is lost', () => {
  const spent: WalletEvent = {
    ...{ type: 'charge', key: paymentKey.replaceAll('1', '2'), requestHash, takenMicros: 7n },
    ...{ owedMicros: 0n, actor, detail: {} },
  };
  const lost: Dispute = { ...taken, state: 'lost' };
  given(live, paid, spent)
    .when(told({ state: 'lost', withdrawnMicros: 10n }))
    .thenEvents(opening(lost), frozen, withdrawn(lost), closing(lost))
    .answering({ code: 'OK', balanceMicros: -7n });
});

test('what is heard late changes nothing', () => {
  const ended = [live, paid, opening(open), frozen, withdrawn(taken), reinstated, closing(won)];
  for (const late of [
    told({}),
    told({ withdrawnMicros: 10n }),
    told({ state: 'lost', withdrawnMicros: 10n }),
    told({ state: 'inquiry' }),
  ]) {
    given(...ended, unfrozen)
      .when(late)
      .thenNothing({ code: 'OK', replayed: true, balanceMicros: 10n });
  }
});

test('an inquiry does nothing', () => {
  for (const state of ['inquiry', 'inquiry_closed'] as const) {
    given(live, paid).when(told({ state })).thenNothing({ code: 'OK', replayed: true });
  }
});

test('winning unfreezes no wallet that another dispute or a person keeps frozen', () => {
  const end = told({ state: 'won' });
  const quietlyWon: Dispute = { ...open, state: 'won', freezes: false };
  const other = opening({ ...open, disputeId: 'du_2' });
  given(live, paid, opening(open), frozen, other)
    .when(end)
    .thenEvents(closing(quietlyWon))
    .answering({ code: 'OK' });
  given(live, paid, opening(open), frozen, byHand)
    .when(end)
    .thenEvents(closing(quietlyWon))
    .answering({ code: 'OK' });
  given(live, paid, byHand)
    .when(told({}))
    .thenEvents(opening({ ...open, freezes: false }))
    .answering({ code: 'OK' });
});

test('a wallet that a dispute froze can be frozen by hand, and one that a person froze cannot', () => {
  const freeze: Command = {
    ...{ type: 'change_wallet_status', status: 'frozen', actor: 'support:x', detail: {} },
  };
  given(live, paid, opening(open), frozen)
    .when(freeze)
    .thenEvents(byHand)
    .answering({ code: 'OK', replayed: false });
  given(live, paid, opening(open), frozen, byHand)
    .when(freeze)
    .thenNothing({ code: 'OK', replayed: true });
});

test('a dispute of what was never credited, or of another payment, is refused', () => {
  given(live).when(told({})).thenNothing({ code: 'PAYMENT_NOT_CREDITED' });
  given().when(told({})).thenNothing({ code: 'WALLET_NOT_FOUND' });
  const otherPaid = { ...paid, key: paymentKey.replaceAll('1', '2') } as WalletEvent;
  given(live, paid, otherPaid, opening(open))
    .when(told({ paymentKey: paymentKey.replaceAll('1', '2') }))
    .thenNothing({ code: 'PAYMENT_DIFFERS' });
  given(live, paid)
    .when(told({ reinstatedMicros: 1n }))
    .isNeverAllowed();
});
