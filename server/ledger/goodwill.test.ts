import { describe, test } from 'vitest';
import type { Command } from './decide.ts';
import type { WalletEvent } from './events.ts';
import { usageKey } from './key.ts';
import { given, live, nowMs, openHold } from './specification.fixtures.ts';
import type { Hold, Report } from './state.ts';

const actor = 'test:goodwill';
const key = '11111111-1111-4111-8111-111111111111';
const holdId = '33333333-3333-4333-8333-333333333333';
const keyed = { key, requestHash: 'aa'.repeat(32), actor };
const usage = { type: 'call', to: '112' };
const breakdown = { amountMicros: '0', goodwillMicros: '375000' };
const report: Report = { usage, units: 60, breakdown };

const frozen: WalletEvent = { type: 'wallet_frozen', actor, detail: {} };
const closed: WalletEvent = { type: 'wallet_closed', actor, detail: {} };
const blocked: WalletEvent = {
  type: 'limits_changed',
  limits: [{ period: 'day', amountMicros: 0n, type: null, prefix: null }],
  actor,
};

const detail = { usage, breakdown };
const charge: Command = {
  ...keyed,
  type: 'charge_wallet',
  amountMicros: 0n,
  overrun: 'refuse',
  detail,
};

describe('what must always connect', () => {
  test.each([
    ['without money', []],
    ['while the wallet is frozen', [frozen]],
    ['after the wallet was closed', [closed]],
    ['beyond its limits', [blocked]],
  ])('is recorded and moves nothing %s', (_when, events) => {
    given(live, ...events)
      .when(charge)
      .thenEvents({ ...keyed, type: 'goodwill', detail })
      .answering({ code: 'OK', amountMicros: 0n, availableMicros: 0n });
  });

  test('is no goodwill when it costs the user something', () => {
    given(live)
      .when({ ...charge, amountMicros: 1n })
      .thenNothing({ code: 'INSUFFICIENT_FUNDS' });
  });

  test('is charged once', () => {
    given(live, { ...keyed, type: 'goodwill', detail })
      .when(charge)
      .thenNothing({ code: 'OK', replayed: true, amountMicros: 0n });
  });
});

const link = { holdId, referenceId: 'call-1' };
const held = openHold(0n, { ...link, destination: '112', pricing: { goodwill: true } });
const authorize: Command = {
  ...keyed,
  type: 'authorize_hold',
  holdId,
  amountMicros: 0n,
  referenceId: 'call-1',
  rateCardId: 'card',
  pricing: { goodwill: true },
  usageType: 'call',
  destination: '112',
  ttlSeconds: 60,
  detail: {},
};
const placed: WalletEvent = {
  ...keyed,
  key: usageKey('call', 'call-1'),
  type: 'hold_placed',
  amountMicros: 0n,
  hold: held,
  detail: {
    ...link,
    rateCardId: 'card',
    pricing: { goodwill: true },
    expiresAt: new Date(nowMs + 60_000).toISOString(),
  },
};

describe('a hold of what must always connect', () => {
  test.each([
    ['a frozen wallet', [frozen]],
    ['a wallet without money', []],
  ])('is placed on %s', (_which, events) => {
    given(live, ...events)
      .when(authorize)
      .thenEvents(placed)
      .answering({ code: 'OK', amountMicros: 0n });
  });

  test('holds nothing', () => {
    given(live)
      .when({ ...authorize, amountMicros: 1n })
      .isNeverAllowed();
  });

  test('goes on while its wallet is frozen', () => {
    const heartbeat: Command = {
      type: 'extend_hold',
      holdId,
      report,
      amountMicros: 0n,
      addMicros: null,
      ttlSeconds: null,
      actor,
    };
    given(live, placed, frozen)
      .when(heartbeat, nowMs + 10_000)
      .thenEvents({
        type: 'hold_extended',
        raisedMicros: 0n,
        actor,
        hold: { ...held, report, expiresAtMs: nowMs + 70_000 },
        detail: {
          ...link,
          expiresAt: new Date(nowMs + 70_000).toISOString(),
          aheadMicros: '0',
          ttlSeconds: 60,
          ...report,
        },
      })
      .answering({ code: 'OK', lowBalance: false });
  });

  test('ends with the goodwill behind its release', () => {
    const hold: Hold = { ...held, status: 'captured', report };
    const capture: Command = {
      ...keyed,
      key: '22222222-2222-4222-8222-222222222222',
      type: 'capture_hold',
      holdId,
      report,
      amountMicros: 0n,
      overrun: 'refuse',
    };
    given(live, placed)
      .when(capture)
      .thenEvents(
        {
          ...keyed,
          key: capture.key,
          type: 'hold_captured',
          releasedMicros: 0n,
          takenMicros: 0n,
          owedMicros: 0n,
          hold,
          detail: link,
        },
        { type: 'goodwill', hold, actor, detail: { ...link, ...report } },
      )
      .answering({ code: 'OK', amountMicros: 0n, detail: { ...link, ...report } });
  });
});
