/** The database reads destinations and calendars as the pure functions do. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { dialledDigits, isParty } from '../rating/usage.ts';
import { arrayLiteral } from '../store/sql.ts';
import { windowOf, windowPeriods } from './window.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.close());

it('a destination has the same digits', async () => {
  const part = fc.constantFrom(
    ...['+', '00', '0', '1', '900', '4915', ' ', '\u00a0', '\u2009', '\ufeff', '\u3000', '-', '.'],
    ...['/', '(', ')', 'sip:', 'SIPS:', 'tel:', 'ſip:', '@pbx.example', ';ext=5', '*98', 'a', '²'],
  );
  const destination = fc
    .oneof(
      fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
    )
    .filter(isParty);
  const destinations = fc.sample(destination, 3_000);
  const rows = await database.app<{ digits: string }[]>`
    select dialled_digits(t.destination) as digits
    from unnest(${arrayLiteral(destinations)}::text[]) with ordinality t (destination, place) order by place`;
  expect(rows.map(({ digits }) => digits)).toEqual(destinations.map(dialledDigits));
});

it('an instant belongs to the same day and month', async () => {
  const zones = [
    ...['UTC', 'Europe/Berlin', 'America/New_York', 'America/Havana', 'Africa/Cairo'],
    ...['Australia/Lord_Howe', 'Asia/Kolkata', 'Pacific/Kiritimati', 'America/Sao_Paulo'],
  ];
  const [fromMs, toMs] = [Date.parse('2015-01-01T00:00:00Z'), Date.parse('2027-01-01T00:00:00Z')];
  const instants = fc.sample(
    fc.record({
      period: fc.constantFrom(...windowPeriods),
      zone: fc.constantFrom(...zones),
      // Every change of clocks is at a whole quarter of an hour.
      atMs: fc
        .integer({ min: fromMs / 900_000, max: toMs / 900_000 })
        .chain((quarter) => fc.constantFrom(quarter * 900_000, quarter * 900_000 - 1)),
    }),
    5_000,
  );
  const column = (field: (instant: (typeof instants)[number]) => string) =>
    arrayLiteral(instants.map(field));
  const rows = await database.app<{ startsAt: Date; endsAt: Date }[]>`
    select w.starts_at as "startsAt", w.ends_at as "endsAt"
    from unnest(${column(({ period }) => period)}::text[],
                ${column(({ atMs }) => new Date(atMs).toISOString())}::timestamptz[],
                ${column(({ zone }) => zone)}::text[])
      with ordinality t (period, at, zone, place)
    cross join lateral limit_window(t.period, t.at, t.zone) w order by place`;
  expect(
    rows.map(({ startsAt, endsAt }) => ({
      startsAtMs: startsAt.getTime(),
      endsAtMs: endsAt.getTime(),
    })),
  ).toEqual(instants.map(({ period, atMs, zone }) => windowOf(period, atMs, zone)));
});
