import { describe, expect, it } from 'vitest';
import { BILLING_MONTH_CRON } from '../../inngest/functions.ts';
import { defaultPeriod, isPeriod, nextRunAt, overduePeriod } from './month.ts';

describe('the calendar of the month', () => {
  it.each([
    ['2026-10-31T23:59:59.999Z', '2026-09'],
    ['2026-11-01T00:00:00.000Z', '2026-10'],
    ['2026-01-15T12:00:00.000Z', '2025-12'],
    ['2028-03-31T12:00:00.000Z', '2028-02'],
  ])('is due at %s for %s, the last month that ended in UTC', (at, period) => {
    expect(defaultPeriod(new Date(at))).toBe(period);
  });

  it.each([
    ['2026-11-01T01:59:59.999Z', '2026-11-01T02:00:00.000Z'],
    ['2026-11-01T02:00:00.000Z', '2026-12-01T02:00:00.000Z'],
    ['2026-12-31T23:00:00.000Z', '2027-01-01T02:00:00.000Z'],
  ])('runs next after %s at %s', (at, next) => {
    expect(nextRunAt(new Date(at)).toISOString()).toBe(next);
  });

  it('names the hour that the scheduler’s cron names', () => {
    const at = nextRunAt(new Date('2026-11-10T00:00:00Z'));
    expect(`${at.getUTCMinutes()} ${at.getUTCHours()} ${at.getUTCDate()} * *`).toBe(
      BILLING_MONTH_CRON,
    );
  });

  it('takes a run for missed when the grace after its hour is over, not before', () => {
    expect(overduePeriod(new Date('2026-11-01T02:59:59.999Z'), 3_600_000)).toBe('2026-09');
    expect(overduePeriod(new Date('2026-11-01T03:00:00.000Z'), 3_600_000)).toBe('2026-10');
  });

  it.each(['2026-00', '2026-13', '26-10', '2026-1', ' 2026-10', '2026-10\n', '0000-10', ''])(
    'does not take %j for a period',
    (text) => expect(isPeriod(text)).toBe(false),
  );
});
