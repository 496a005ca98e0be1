import { expect, it } from 'vitest';
import {
  bindingLimit,
  describeLimit,
  describeReset,
  describeStanding,
  stopsUsage,
} from './limits.ts';

const limit = {
  period: 'day',
  amountMicros: '10000000',
  spentMicros: '3200000',
  reservedMicros: '0',
  leftMicros: '6800000',
  resetsAt: '2026-11-23T23:00:00.000Z',
} as const;

it('a limit says what it is for', () => {
  expect(describeLimit(limit)).toBe('All usage in a day');
  expect(describeLimit({ ...limit, period: 'month', type: 'call', prefix: '44' })).toBe(
    'Calls to +44 in a month',
  );
  expect(describeLimit({ ...limit, prefix: '44' })).toBe('All usage to +44 in a day');
});

it('a limit says what is used of it, and apart from that what is only reserved', () => {
  expect(describeStanding(limit, 'USD')).toBe('$3.20 spent');
  expect(describeStanding({ ...limit, reservedMicros: '1000000' }, 'USD')).toBe(
    '$3.20 spent, $1.00 reserved',
  );
});

it('a limit says when it begins anew, by the clock of the wallet', () => {
  expect(describeReset(limit, 'Europe/Berlin')).toBe('Begins anew 24 Nov 2026, 00:00');
});

it('the limit that binds is for all usage, and leaves least of what is available', () => {
  const tighter = { ...limit, period: 'month', leftMicros: '5000000' } as const;
  const ofCalls = { ...limit, type: 'call', leftMicros: '0' };
  expect(bindingLimit([limit, ofCalls, tighter], '9000000')).toBe(tighter);
  expect(bindingLimit([limit, ofCalls], '6800000')).toBeUndefined();
});

it('a limit stops usage when it leaves nothing, or too little for any', () => {
  expect(stopsUsage({ ...limit, leftMicros: '0' }, [])).toBe(true);
  expect(stopsUsage(limit, [])).toBe(false);
  expect(stopsUsage(limit, [{ type: 'call', units: 0 }])).toBe(true);
  expect(stopsUsage(limit, [{ type: 'call', units: 60 }])).toBe(false);
});
