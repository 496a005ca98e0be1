import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { WalletEvent } from './events.ts';
import { actor, given, live, nowMs, requestHash } from './specification.fixtures.ts';
import {
  type AddSubscription,
  type EndSubscription,
  feeMicros,
  maxFeeMicros,
  type PostFee,
  type Subscription,
} from './subscriptions.ts';
import { windowOf } from './window.ts';

const key = '11111111-1111-4111-8111-111111111111';
const feeKey = '22222222-2222-4222-8222-222222222222';
const subscriptionId = '33333333-3333-4333-8333-333333333333';
const dayMs = 86_400_000;
/** It has 30 days. */
const november = windowOf('month', nowMs, 'UTC');
const decemberMs = november.endsAtMs;

const toppedUp = (amountMicros: bigint): WalletEvent => ({
  type: 'top_up',
  key: '44444444-4444-4444-8444-444444444444',
  requestHash,
  amountMicros,
  actor,
  detail: {},
});
const terms = { subscriptionId, kind: 'number', description: '+1 415 555 0100' } as const;
const add = (change: Partial<AddSubscription> = {}): AddSubscription => ({
  type: 'add_subscription',
  key,
  requestHash,
  ...terms,
  monthlyMicros: 3_000_000n,
  startsAtMs: null,
  endsAtMs: null,
  actor,
  ...change,
});
const end = (endsAtMs: number | null): EndSubscription => ({
  type: 'end_subscription',
  subscriptionId,
  endsAtMs,
  actor,
});
const postFee: PostFee = {
  type: 'post_fee',
  key: feeKey,
  requestHash,
  subscriptionId,
  period: '2026-11',
  month: november,
  actor,
};
const running = (change: Partial<Subscription> = {}): Subscription => ({
  ...terms,
  monthlyMicros: 3_000_000n,
  startsAtMs: nowMs,
  endsAtMs: null,
  billedToMs: null,
  ...change,
});
const added = (change: Partial<Subscription> = {}): WalletEvent => ({
  type: 'subscription_added',
  key,
  requestHash,
  subscription: running(change),
  actor,
});
const ended = (endsAtMs: number): WalletEvent => ({
  type: 'subscription_ended',
  subscription: running({ endsAtMs }),
  actor,
});
const fee = (takenMicros: bigint, owedMicros: bigint, ran = running()): WalletEvent => ({
  type: 'fee',
  key: feeKey,
  requestHash,
  takenMicros,
  owedMicros,
  subscription: { ...ran, billedToMs: november.endsAtMs },
  period: '2026-11',
  part: { startsAtMs: ran.startsAtMs, endsAtMs: ran.endsAtMs ?? november.endsAtMs },
  actor,
});

describe('adding a subscription', () => {
  test('writes its terms and moves no money', () => {
    given(live)
      .when(add())
      .thenEvents(added())
      .answering({ code: 'OK', amountMicros: 0n, balanceMicros: 0n });
  });

  test('in a month that is over is refused', () => {
    given(live)
      .when(add({ startsAtMs: nowMs - 1 }))
      .thenNothing({ code: 'MONTH_CLOSED' });
  });

  test('that ends before it starts makes it end as it starts', () => {
    given(live)
      .when(add({ endsAtMs: nowMs - dayMs }))
      .thenEvents(added({ endsAtMs: nowMs }))
      .answering({ code: 'OK' });
  });

  test('of nothing, or of more than the most, is never allowed', () => {
    given(live)
      .when(add({ monthlyMicros: 0n }))
      .isNeverAllowed();
    given(live)
      .when(add({ monthlyMicros: maxFeeMicros + 1n }))
      .isNeverAllowed();
  });
});

describe('ending a subscription', () => {
  test('by default ends it now, once', () => {
    given(live, added())
      .when(end(null), nowMs + dayMs)
      .thenEvents(ended(nowMs + dayMs))
      .answering({ code: 'OK', replayed: false });
    given(live, added(), ended(nowMs + dayMs))
      .when(end(null), nowMs + 2 * dayMs)
      .thenNothing({ code: 'OK', replayed: true });
  });

  test('can be moved until its month is over', () => {
    given(live, added(), ended(nowMs + dayMs))
      .when(end(nowMs + 9 * dayMs), decemberMs - 1)
      .thenEvents(ended(nowMs + 9 * dayMs))
      .answering({ code: 'OK' });
    given(live, added(), ended(nowMs + dayMs))
      .when(end(decemberMs + dayMs), decemberMs)
      .thenNothing({ code: 'MONTH_CLOSED' });
  });

  test('that is not there is refused', () => {
    given(live).when(end(null)).thenNothing({ code: 'SUBSCRIPTION_NOT_FOUND' });
  });
});

describe('the fee of a closed month', () => {
  test('takes what is there, and the rest is owed', () => {
    given(live, added(), toppedUp(1_000_000n))
      .when(postFee, decemberMs)
      .thenEvents(fee(1_000_000n, 2_000_000n))
      .answering({ code: 'OK', amountMicros: 3_000_000n, balanceMicros: 0n });
  });

  test('is the part of the month in which the subscription ran', () => {
    const half = { startsAtMs: nowMs + 3 * dayMs, endsAtMs: nowMs + 18 * dayMs };
    given(live, added(half), toppedUp(9_000_000n))
      .when(postFee, decemberMs)
      .thenEvents(fee(1_500_000n, 0n, running(half)))
      .answering({ code: 'OK', amountMicros: 1_500_000n, balanceMicros: 7_500_000n });
  });

  test('is posted once', () => {
    given(live, added(), toppedUp(9_000_000n), fee(3_000_000n, 0n))
      .when(postFee, decemberMs)
      .thenNothing({ code: 'OK', replayed: true, balanceMicros: 6_000_000n });
  });

  test('keeps its wallet from being closed before it is posted', () => {
    given(live, added(), ended(nowMs + dayMs))
      .when(
        { type: 'change_wallet_status', status: 'closed', actor, detail: {} },
        nowMs + 2 * dayMs,
      )
      .thenNothing({
        code: 'WALLET_NOT_EMPTY',
        detail: { openHolds: 0, openSubscriptions: 1 },
      });
  });
});

describe('the price of a part of a month', () => {
  const inZone = (timezone: string, day: string) =>
    windowOf('month', Date.parse(`${day}T12:00:00Z`), timezone);

  test.each([
    ['a month of 31 days', 'UTC', '2026-01-15', 31 * 24],
    ['February', 'UTC', '2027-02-15', 28 * 24],
    ['February of a leap year', 'UTC', '2028-02-15', 29 * 24],
    ['a month that loses an hour', 'Europe/Berlin', '2026-03-15', 31 * 24 - 1],
    ['a month that gains an hour', 'Europe/Berlin', '2026-10-15', 31 * 24 + 1],
  ])('divides %s by its hours', (_, timezone, day, hours) => {
    const month = inZone(timezone, day);
    const firstHour = { startsAtMs: month.startsAtMs, endsAtMs: month.startsAtMs + 3_600_000 };
    expect(feeMicros(BigInt(hours) * 7n, firstHour, month)).toBe(7n);
    expect(feeMicros(3_000_001n, month, month)).toBe(3_000_001n);
  });

  test('rounds once, half of a micro up', () => {
    const month = { startsAtMs: 0, endsAtMs: 1_000 };
    expect(feeMicros(1n, { startsAtMs: 0, endsAtMs: 499 }, month)).toBe(0n);
    expect(feeMicros(1n, { startsAtMs: 0, endsAtMs: 500 }, month)).toBe(1n);
  });

  test('cut in two is at most one micro from the whole', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: maxFeeMicros }),
        fc.nat({ max: 31 * dayMs }),
        fc.constantFrom('UTC', 'Pacific/Kiritimati', 'America/Havana', 'Europe/Berlin'),
        (monthlyMicros, afterMs, timezone) => {
          const month = inZone(timezone, '2026-03-15');
          const cutMs = Math.min(month.startsAtMs + afterMs, month.endsAtMs);
          const parts =
            feeMicros(monthlyMicros, { ...month, endsAtMs: cutMs }, month) +
            feeMicros(monthlyMicros, { ...month, startsAtMs: cutMs }, month);
          expect(parts - monthlyMicros).toBeGreaterThanOrEqual(0n);
          expect(parts - monthlyMicros).toBeLessThanOrEqual(1n);
        },
      ),
    );
  });
});
