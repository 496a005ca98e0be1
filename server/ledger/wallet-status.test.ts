import { expect, test } from 'vitest';
import type { Command } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { given, live, nowMs, openHold, requestHash } from './specification.fixtures.ts';
import type { Hold, WalletStatus } from './state.ts';

const actor = 'support:test';
const detail = { reason: 'stolen card' };
const key = '11111111-1111-4111-8111-111111111111';

const keyed = { key, requestHash, actor, detail: {} };
const granted: WalletEvent = { type: 'grant', ...keyed, amountMicros: 5n };
const charged: WalletEvent = { type: 'charge', ...keyed, takenMicros: 0n, owedMicros: 7n };
const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail };
const unfrozen: WalletEvent = { type: 'wallet_unfrozen', actor, detail };
const closed: WalletEvent = { type: 'wallet_closed', actor, detail };
const change = (status: WalletStatus): Command => ({
  type: 'change_wallet_status',
  status,
  actor,
  detail,
});

test('a wallet is frozen and unfrozen by events that move nothing', () => {
  given(live, granted)
    .when(change('frozen'))
    .thenEvents(frozen)
    .answering({ code: 'OK', replayed: false, seq: 3n, balanceMicros: 5n, detail });
  given(live, granted, frozen)
    .when(change('open'))
    .thenEvents(unfrozen)
    .answering({ code: 'OK', replayed: false, seq: 4n });
});

test.each([
  ['open', [live]],
  ['open', [live, frozen, unfrozen]],
  ['frozen', [live, frozen]],
  ['closed', [live, closed]],
] as const)('a wallet that is %s already stays as it is', (status, events) => {
  given(...events)
    .when(change(status))
    .thenNothing({ code: 'OK', replayed: true, seq: BigInt(events.length) });
});

test('an empty wallet can be closed, a frozen one too, and nothing opens it again', () => {
  given(live).when(change('closed')).thenEvents(closed).answering({ code: 'OK' });
  given(live, frozen).when(change('closed')).thenEvents(closed).answering({ code: 'OK' });
  for (const status of ['open', 'frozen'] as const) {
    given(live, closed).when(change(status)).thenNothing({ code: 'WALLET_CLOSED' });
  }
});

const hold = (heldMicros: bigint): Hold =>
  openHold(heldMicros, { holdId: key, expiresAtMs: nowMs + 1 });
const placed: WalletEvent = { type: 'hold_placed', ...keyed, amountMicros: 0n, hold: hold(0n) };

test.each([
  ['money', granted, { balanceMicros: 5n, detail: { openHolds: 0 } }],
  ['arrears', charged, { arrearsMicros: 7n, detail: { openHolds: 0 } }],
  ['an open hold, even of nothing', placed, { heldMicros: 0n, detail: { openHolds: 1 } }],
])('a wallet with %s is not closed, and the answer says what is left', (_what, event, left) => {
  given(live, event)
    .when(change('closed'))
    .thenNothing({ code: 'WALLET_NOT_EMPTY', replayed: false, ...left });
});

test('a hold that has run out keeps nobody from closing', () => {
  const overdue: WalletEvent = { ...placed, hold: { ...hold(0n), expiresAtMs: nowMs } };
  given(live, overdue)
    .when(change('closed'))
    .thenEvents(expect.objectContaining({ type: 'hold_expired' }), closed)
    .answering({ code: 'OK' });
});

test('a wallet that was never live is not found', () => {
  given().when(change('frozen')).thenNothing({ code: 'WALLET_NOT_FOUND' });
});
