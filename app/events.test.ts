import { describe, expect, it } from 'vitest';
import type { EventView } from '../server/views/wallets.ts';
import { describeEvent } from './events.ts';

function event(type: string, changes: Partial<EventView> = {}): EventView {
  return {
    seq: 7n,
    type,
    balanceDeltaMicros: 0n,
    heldDeltaMicros: 0n,
    arrearsDeltaMicros: 0n,
    balanceMicros: 24_625_000n,
    heldMicros: 0n,
    arrearsMicros: 0n,
    actor: 'service:test',
    occurredAt: new Date('2026-11-12T14:05:00Z'),
    recordedAt: new Date('2026-11-12T14:05:01Z'),
    hash: 'ab'.repeat(32),
    detail: {},
    ...changes,
  };
}

const describeInBerlin = (type: string, changes?: Partial<EventView>) =>
  describeEvent(event(type, changes), 'USD', 'Europe/Berlin');

const call = { type: 'call', durationSeconds: 330, to: '+15550100', answered: true };

describe('describeEvent', () => {
  it('says what was used, where to, and what it cost to the micro', () => {
    expect(
      describeInBerlin('charge', { balanceDeltaMicros: -375_000n, detail: { usage: call } }),
    ).toMatchObject({
      title: 'Call, 5 min 30 s',
      subtitle: 'To +15550100',
      amount: '-$0.375',
      tone: 'out',
      balanceAfter: '$24.625',
      occurredAtText: '12 Nov 2026, 15:05',
    });
  });

  it.each([
    [{ type: 'sms', to: '+15550100', segments: 2 }, 'SMS, 2 segments'],
    [{ type: 'email', recipients: 1 }, 'Email, 1 recipient'],
    [{ type: 'fax', pages: 4, to: '+15550100' }, 'Fax, 4 pages'],
    [{ type: 'file_transfer', transfers: 3 }, 'File transfer, 3 transfers'],
    [{ ...call, answered: false }, 'Call, not answered'],
    [{ type: 'video_room' }, 'Video room'],
  ])('names the usage %j', (usage, title) => {
    expect(describeInBerlin('charge', { detail: { usage } }).title).toBe(title);
  });

  it('says how much of what was spent was promotional credit', () => {
    const grants = [
      { seq: '2', micros: '250000' },
      { seq: '4', micros: '100000' },
    ];
    const spent = { balanceDeltaMicros: -375_000n, detail: { usage: call, grants } };
    expect(describeInBerlin('charge', spent).facts).toContainEqual({
      label: 'Of promotional credit',
      value: '$0.35',
    });
    expect(describeInBerlin('grant_expired', { balanceDeltaMicros: -50_000n })).toMatchObject({
      title: 'Promotional credit expired',
      amount: '-$0.05',
      tone: 'out',
    });
  });

  it('shows a hold as held, and never as spent', () => {
    expect(describeInBerlin('hold_placed', { heldDeltaMicros: 2_250_000n })).toMatchObject({
      title: 'Put on hold',
      amount: '$2.25',
      tone: 'held',
      amountNote: 'on hold, not spent',
    });
    expect(describeInBerlin('hold_voided', { heldDeltaMicros: -2_250_000n })).toMatchObject({
      amount: '$2.25',
      tone: 'held',
      amountNote: 'released, not spent',
    });
  });

  it('shows a captured hold as the usage it paid for', () => {
    const row = describeInBerlin('hold_captured', {
      balanceDeltaMicros: -375_000n,
      heldDeltaMicros: -1_000_000n,
      detail: { usage: call },
    });
    expect(row).toMatchObject({ title: 'Call, 5 min 30 s', amount: '-$0.375', tone: 'out' });
  });

  it('shows deferred usage as reserved until the 1st, and the deduction with its month', () => {
    expect(
      describeInBerlin('accrual', { heldDeltaMicros: 375_000n, detail: { usage: call } }),
    ).toMatchObject({
      title: 'Call, 5 min 30 s',
      amount: '$0.375',
      tone: 'held',
      amountNote: 'deducted on the 1st',
    });
    expect(
      describeInBerlin('accrual_settled', {
        balanceDeltaMicros: -375_000n,
        heldDeltaMicros: -375_000n,
        detail: { period: '2026-10', statement: '2026-10-000001' },
      }),
    ).toMatchObject({
      title: 'Usage of the month deducted',
      subtitle: 'October 2026',
      amount: '-$0.375',
      tone: 'out',
    });
  });

  it('says of goodwill that the user does not pay, and what it costs', () => {
    const breakdown = { type: 'call', currency: 'USD', units: 60, goodwillMicros: '150000' };
    const row = describeInBerlin('goodwill', {
      detail: { usage: call, breakdown: { ...breakdown, amountMicros: '0' } },
    });
    expect(row).toMatchObject({ amount: '$0.00', tone: 'neutral', amountNote: 'paid for you' });
    expect(row.facts).toContainEqual({ label: 'Paid for you', value: '$0.15' });
  });

  it('says how much of a charge is owed', () => {
    const row = describeInBerlin('charge', {
      balanceDeltaMicros: -1_000_000n,
      arrearsDeltaMicros: 2_000_000n,
      arrearsMicros: 2_000_000n,
    });
    expect(row).toMatchObject({ amount: '-$1.00', amountNote: 'and $2.00 owed' });
    expect(row.facts).toContainEqual({ label: 'Arrears after', value: '$2.00' });
  });

  it('says of a price that was calculated anew whether it is what was billed', () => {
    const charge = event('charge', { balanceDeltaMicros: -375_000n, detail: { usage: call } });
    const priced = { seq: 7n, recomputedMicros: 375_000n, alreadyBilledMicros: 0n, matches: true };
    const factsOf = (change: Partial<typeof priced>) =>
      describeEvent(charge, 'USD', 'UTC', { ...priced, ...change }).facts;
    expect(describeInBerlin('charge').isPriced).toBe(false);
    expect(describeEvent(charge, 'USD', 'UTC', priced).isPriced).toBe(true);
    expect(factsOf({})).toContainEqual({ label: 'Calculated anew', value: '$0.375, as billed' });
    expect(factsOf({})).toContainEqual({ label: 'Balance before', value: '$25.00' });
    expect(factsOf({ alreadyBilledMicros: 150_000n })).toContainEqual({
      label: 'Billed before',
      value: '$0.15',
    });
    expect(factsOf({ matches: false })).toContainEqual({
      label: 'Calculated anew',
      value: '$0.375: not what this entry says',
    });
  });

  it('says which event a refund gives back, and why', () => {
    const row = describeInBerlin('usage_refund', {
      balanceDeltaMicros: 150_000n,
      detail: { originalSeq: '7', type: 'call', referenceId: 'call-1', reason: 'Bad line' },
    });
    expect(row).toMatchObject({ title: 'Usage refunded', subtitle: 'Bad line', amount: '+$0.15' });
    expect(row.facts).toContainEqual({ label: 'Of event', value: 'No. 7' });
  });

  it('names the card of a top-up by its last four digits', () => {
    const row = describeInBerlin('top_up', {
      balanceDeltaMicros: 25_000_000n,
      detail: { paymentIntentId: 'pi_1', card: { brand: 'visa', last4: '4242' } },
    });
    expect(row).toMatchObject({
      title: 'Top-up by card',
      subtitle: 'Visa ending 4242',
      amount: '+$25.00',
      tone: 'in',
    });
    expect(row.facts).toContainEqual({ label: 'Payment', value: 'pi_1' });
  });

  it('tells a top-up that was charged automatically from one that its user made', () => {
    const title = (detail: EventView['detail']) => describeInBerlin('top_up', { detail }).title;
    expect(title({ automatic: true })).toBe('Automatic top-up by card');
    expect(title({})).toBe('Top-up by card');
  });

  it('explains the price by its breakdown', () => {
    const breakdown = {
      schema: 1,
      rateCardId: 'default',
      rateCardVersion: 3,
      currency: 'USD',
      type: 'call',
      unit: 'second',
      units: 330,
      prefix: '1',
      price: {
        connectionFeeMicros: '100000',
        priceMicros: '50000',
        perUnits: 60,
        billedUnits: 360,
        increments: { initialSeconds: 60, nextSeconds: 60, count: 6 },
        rounding: 'half_up',
      },
      amountMicros: '400000',
    };
    const { facts } = describeInBerlin('charge', { detail: { usage: call, breakdown } });
    expect(facts).toEqual(
      expect.arrayContaining([
        { label: 'Connection fee', value: '$0.10' },
        { label: 'Price', value: '$0.05 per minute' },
        { label: 'Billed as', value: '6 min (at least 60 s, then each 60 s begun)' },
        { label: 'Destination rate', value: '+1' },
        { label: 'Rate card', value: 'Version 3' },
      ]),
    );
  });

  it('shows an event of a type or with a detail it does not know', () => {
    const row = describeInBerlin('loyalty_bonus', {
      balanceDeltaMicros: 10_000n,
      detail: { usage: 'nonsense', breakdown: { schema: 9 }, card: null, reason: 'Thank you' },
    });
    expect(row).toMatchObject({
      title: 'Loyalty bonus',
      subtitle: 'Thank you',
      amount: '+$0.01',
      tone: 'in',
    });
  });

  it('shows no amount where no money moved', () => {
    expect(describeInBerlin('wallet_frozen')).toMatchObject({
      title: 'Wallet frozen',
      amount: null,
      tone: 'neutral',
    });
  });
});
