import { describe, expect, it } from 'vitest';
import { monthBefore, monthSpan, timesSpan } from './past-span.ts';

describe('a span of the past', () => {
  it('is a calendar month in UTC', () => {
    expect(monthSpan('2026-12')).toEqual({
      from: new Date('2026-12-01T00:00:00Z'),
      to: new Date('2027-01-01T00:00:00Z'),
    });
    expect(monthSpan('2026-13')).toBeNull();
  });

  it('is what lies between two times, of which the second comes later', () => {
    expect(timesSpan('2026-10-01T10:00', '2026-10-01T10:30')).toEqual({
      from: new Date('2026-10-01T10:00:00Z'),
      to: new Date('2026-10-01T10:30:00Z'),
    });
    expect(timesSpan('2026-10-01T10:00', '2026-10-01T10:00')).toBeNull();
    expect(timesSpan('', '2026-10-01T10:00')).toBeNull();
  });

  it('begins with the last month that is over', () => {
    expect(monthBefore(new Date('2026-01-31T12:00:00Z'))).toBe('2025-12');
  });
});
