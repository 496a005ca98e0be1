import { describe, expect, it } from 'vitest';
import type { Command } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { maxLimits, type SpendingLimit } from './limit-list.ts';
import { given, live, nowMs } from './specification.fixtures.ts';

const actor = 'test:limits';
const requestHash = 'a'.repeat(64);
const paid: WalletEvent = {
  type: 'top_up',
  key: '55555555-5555-4555-8555-555555555555',
  requestHash,
  amountMicros: 1_000n,
  actor,
  detail: {},
};
const usage = { type: 'call', to: '+1 900 555 0101' };
const charged = (takenMicros: bigint): WalletEvent => ({
  type: 'charge',
  key: '66666666-6666-4666-8666-666666666666',
  requestHash,
  takenMicros,
  owedMicros: 0n,
  actor,
  detail: { usage },
});
const limit = (change: Partial<SpendingLimit> = {}): SpendingLimit => ({
  period: 'day',
  amountMicros: 100n,
  type: null,
  prefix: null,
  ...change,
});
const limited = (...limits: SpendingLimit[]): WalletEvent => ({
  type: 'limits_changed',
  limits,
  actor,
});
const setLimits = (...limits: SpendingLimit[]): Command => ({ type: 'set_limits', limits, actor });
const charge = (
  amountMicros: bigint,
  overrun: 'refuse' | 'arrears' = 'refuse',
): Extract<Command, { type: 'charge_wallet' }> => ({
  type: 'charge_wallet',
  key: '77777777-7777-4777-8777-777777777777',
  requestHash,
  amountMicros,
  overrun,
  actor,
  detail: { usage },
});
const chargedBy = ({ type: _, overrun: __, amountMicros, ...command }: ReturnType<typeof charge>) =>
  ({ type: 'charge', takenMicros: amountMicros ?? 0n, owedMicros: 0n, ...command }) as const;

describe('setting limits', () => {
  it('replaces them all, in an order of their own', () => {
    const [day, month] = [limit(), limit({ period: 'month', prefix: '1' })];
    given(live, limited(limit({ type: 'sms' })))
      .when(setLimits(month, day))
      .thenEvents(limited(day, month))
      .answering({ code: 'OK', replayed: false, seq: 3n });
  });

  it('writes nothing when they are the same', () => {
    const [day, month] = [limit(), limit({ period: 'month' })];
    given(live, limited(day, month))
      .when(setLimits(month, day))
      .thenNothing({ code: 'OK', replayed: true, seq: 2n });
  });

  it('is refused by a closed wallet alone', () => {
    given().when(setLimits()).thenNothing({ code: 'WALLET_NOT_FOUND' });
    given(live, { type: 'wallet_closed', actor, detail: {} })
      .when(setLimits(limit()))
      .thenNothing({ code: 'WALLET_CLOSED' });
    given(live, { type: 'wallet_frozen', actor, detail: {} })
      .when(setLimits(limit()))
      .thenEvents(limited(limit()))
      .answering({ code: 'OK' });
  });

  it.each([
    ['one twice', [limit(), limit({ amountMicros: 1n })]],
    ['a negative one', [limit({ amountMicros: -1n })]],
    ['too many', Array.from({ length: maxLimits + 1 }, (_, i) => limit({ prefix: `${i}` }))],
  ])('is never allowed with %s', (_what, limits) => {
    given(live)
      .when(setLimits(...limits))
      .isNeverAllowed();
  });
});

describe('a limit', () => {
  it('lets pass what it leaves, and refuses a micro more', () => {
    const wallet = given(live, paid, limited(limit()), charged(40n));
    wallet
      .when(charge(60n))
      .thenEvents(chargedBy(charge(60n)))
      .answering({ code: 'OK' });
    wallet.when(charge(61n)).thenNothing({
      code: 'LIMIT_EXCEEDED',
      detail: {
        limit: { period: 'day' },
        limitMicros: '100',
        spentMicros: '40',
        reservedMicros: '0',
        requiredMicros: '61',
        leftMicros: '60',
        resetsAt: '2026-11-02T00:00:00.000Z',
      },
    });
  });

  it('counts what was spent in its window before it was set', () => {
    given(live, paid, charged(40n), limited(limit()))
      .when(charge(61n))
      .thenNothing({ code: 'LIMIT_EXCEEDED' });
  });

  it('counts nothing of the window before', () => {
    given(live, paid, charged(100n), limited(limit()))
      .when(charge(100n), nowMs + 86_400_000)
      .thenEvents(chargedBy(charge(100n)))
      .answering({ code: 'OK' });
  });

  it.each([
    ['another type', limit({ type: 'sms', amountMicros: 0n })],
    ['another destination', limit({ prefix: '1901', amountMicros: 0n })],
    ['its type to another destination', limit({ type: 'call', prefix: '44', amountMicros: 0n })],
  ])('for %s is not asked', (_what, other) => {
    given(live, paid, limited(other))
      .when(charge(1n))
      .thenEvents(chargedBy(charge(1n)))
      .answering({ code: 'OK' });
  });

  it('of what was delivered already is not asked, and counts it', () => {
    const wallet = given(live, paid, limited(limit({ amountMicros: 0n })));
    const delivered = charge(5n, 'arrears');
    wallet.when(delivered).thenEvents(chargedBy(delivered)).answering({ code: 'OK' });
  });

  it('comes before funds, and lets a replay pass', () => {
    given(live, limited(limit({ amountMicros: 0n })))
      .when(charge(5n))
      .thenNothing({ code: 'LIMIT_EXCEEDED' });
    const replayed = { ...charge(40n), key: '66666666-6666-4666-8666-666666666666' };
    given(live, paid, charged(40n), limited(limit({ amountMicros: 0n })))
      .when(replayed)
      .thenNothing({ code: 'OK', replayed: true });
  });

  it('that leaves least is the one named', () => {
    const [loose, tight] = [limit({ amountMicros: 9n }), limit({ type: 'call', amountMicros: 8n })];
    given(live, paid, limited(loose, tight))
      .when(charge(10n))
      .thenNothing({ detail: expect.objectContaining({ limit: { period: 'day', type: 'call' } }) });
  });
});
