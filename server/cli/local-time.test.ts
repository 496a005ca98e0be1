import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { localTimeReader } from './local-time.ts';

describe('localTimeReader', () => {
  test.each([
    ['UTC', '2031-01-31 23:59:59', '2031-01-31T23:59:59.000Z'],
    ['Europe/Berlin', '2031-01-15 12:00:00', '2031-01-15T11:00:00.000Z'],
    ['Europe/Berlin', '2030-07-15 12:00:00', '2030-07-15T10:00:00.000Z'],
    ['America/New_York', '2017-06-27 10:29:03', '2017-06-27T14:29:03.000Z'],
    ['Asia/Kathmandu', '2025-01-01 00:00:00', '2024-12-31T18:15:00.000Z'],
    ['Pacific/Kiritimati', '2025-01-01 00:00:00', '2024-12-31T10:00:00.000Z'],
    ['Pacific/Pago_Pago', '2025-01-01 00:00:00', '2025-01-01T11:00:00.000Z'],
  ])('in %s, %s is %s', (timezone, text, instant) => {
    expect(localTimeReader(timezone)(text)?.toISOString()).toBe(instant);
  });

  test.each([
    ['Europe/Berlin', '2025-03-30 02:30:00', '2025-03-30T01:30:00.000Z'],
    ['America/New_York', '2025-03-09 02:00:00', '2025-03-09T07:00:00.000Z'],
    ['Australia/Lord_Howe', '2025-10-05 02:15:00', '2025-10-04T15:45:00.000Z'],
    ['Pacific/Apia', '2011-12-30 12:00:00', '2011-12-30T22:00:00.000Z'],
  ])('in %s, %s, which no clock showed, counts on from before the gap', (zone, text, instant) => {
    expect(localTimeReader(zone)(text)?.toISOString()).toBe(instant);
  });

  test.each([
    ['Europe/Berlin', '2025-10-26 02:30:00', '2025-10-26T00:30:00.000Z'],
    ['America/New_York', '2025-11-02 01:30:00', '2025-11-02T05:30:00.000Z'],
    ['Australia/Lord_Howe', '2025-04-06 01:45:00', '2025-04-05T14:45:00.000Z'],
  ])('in %s, %s, which clocks showed twice, is the first time', (timezone, text, instant) => {
    expect(localTimeReader(timezone)(text)?.toISOString()).toBe(instant);
  });

  test.each([
    '',
    '2025-01-01',
    '2025-01-01T00:00:00',
    '2025-02-29 00:00:00',
    '2025-13-01 00:00:00',
    '2025-01-01 24:00:00',
    '2025-01-01 23:59:60',
    '2025-1-1 0:00:00',
    ' 2025-01-01 00:00:00',
    '2025-01-01 00:00:00.5',
    '٢٠٢٥-01-01 00:00:00',
  ])('reads nothing from %o', (text) => {
    expect(localTimeReader('UTC')(text)).toBeUndefined();
  });

  test('refuses a time zone that does not exist', () => {
    expect(() => localTimeReader('Mars/Olympus')).toThrow(RangeError);
  });

  test('finds an instant that the zone shows as that time, and the first one, for any instant', () => {
    const zones = [
      'UTC',
      'Europe/London',
      'America/St_Johns',
      'Australia/Lord_Howe',
      'Asia/Tehran',
    ];
    const readers = zones.map((zone) => ({ zone, read: localTimeReader(zone) }));
    const seconds = fc.integer({ min: 0, max: 2_000_000_000 });
    fc.assert(
      fc.property(fc.constantFrom(...readers), seconds, ({ zone, read }, instant) => {
        // Swedish writes a wall clock as `YYYY-MM-DD HH:MM:SS`.
        const show = (date: Date) => date.toLocaleString('sv-SE', { timeZone: zone });
        const shown = show(new Date(instant * 1000));
        const found = read(shown);
        expect(found && show(found)).toBe(shown);
        expect(found?.getTime()).toBeLessThanOrEqual(instant * 1000);
      }),
    );
  });
});
