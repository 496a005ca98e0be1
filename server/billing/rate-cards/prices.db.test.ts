import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { RateCardJson } from '../../rating/rate-card.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createPrices } from './prices.ts';
import { createRateCards, type RateCards } from './rate-cards.ts';

const actor = 'test:prices';
const start = Date.parse('2026-06-01T12:00:00Z');
let nowMs = start;
let database: TestDatabase;
let cards: RateCards;

const sms = (prefix: string, micros: string): RateCardJson['rules'][number] => ({
  id: `sms-${prefix || 'any'}`,
  type: 'sms',
  prefix,
  connectionFeeMicros: '0',
  pricePerUnitMicros: micros,
});

beforeAll(async () => {
  database = await createTestDatabase();
  cards = createRateCards({ sql: database.app, nowMs: () => nowMs });
  await setNow(start);
  await publish({ rules: [sms('', '20000'), sms('44', '30000'), sms('4420', '35000')] }, 2, 60_000);
  await publish({ userId: 'ada', rules: [sms('44', '25000')] }, 1, 60_000);
  await setNow(start + 120_000);
});
afterAll(() => database?.close());

async function setNow(atMs: number): Promise<void> {
  nowMs = atMs;
  await database.setClock(new Date(atMs).toISOString());
}

async function publish(card: Partial<RateCardJson>, version: number, inMs: number) {
  const effectiveFrom = new Date(nowMs + inMs).toISOString();
  await cards.publish(
    { ...defaultRateCard, id: randomUUID(), version, effectiveFrom, ...card },
    actor,
  );
}

function pricesOf(userId: string, asked: { number?: string; country?: string } = {}) {
  const wallets = createWallets(database.app);
  return createPrices({ rateCards: cards, wallets, now: () => new Date(nowMs) }).ofUser(
    userId,
    asked,
  );
}

it('a user sees the prices to anywhere, and to a number as it will be priced', async () => {
  const { currency, anywhere, lookedUp } = await pricesOf('bob', { number: '0044 20 7946 0018' });
  expect(currency).toBe('USD');
  expect(anywhere).toMatchObject([{ type: 'sms', prefix: '', priceMicros: 20_000n }]);
  expect(lookedUp).toMatchObject({
    what: '+442079460018',
    prices: [{ type: 'sms', prefix: '4420', priceMicros: 35_000n, isOwn: false }],
    longer: [],
  });
});

it('a country is looked up by its calling code, with the prefixes that differ', async () => {
  const { lookedUp, countries } = await pricesOf('bob', { country: 'GB' });
  expect(countries).toContainEqual({ code: 'GB', name: 'United Kingdom' });
  expect(lookedUp).toMatchObject({
    what: 'United Kingdom',
    prices: [{ prefix: '44', priceMicros: 30_000n }],
    longer: [{ prefix: '4420', priceMicros: 35_000n }],
    more: false,
  });
  expect((await pricesOf('bob', { number: 'nobody' })).lookedUp).toBeNull();
});

it('a customer with an own card sees its prices, marked as such', async () => {
  const { anywhere, lookedUp } = await pricesOf('ada', { number: '+44 7700 900123' });
  expect(anywhere).toMatchObject([{ priceMicros: 20_000n, isOwn: false }]);
  expect(lookedUp?.prices).toMatchObject([{ prefix: '44', priceMicros: 25_000n, isOwn: true }]);
});

it('a change that is published is announced, with what changes', async () => {
  expect((await pricesOf('bob')).upcoming).toBeNull();
  await publish({ rules: [sms('', '20000'), sms('44', '90000')] }, 3, 3_600_000);
  const { upcoming, lookedUp } = await pricesOf('bob', { country: 'GB' });
  expect(upcoming).toEqual({ from: new Date(nowMs + 3_600_000), anywhere: [] });
  expect(lookedUp).toMatchObject({
    // 4420 loses its own price.
    upcoming: [
      { prefix: '44', priceMicros: 90_000n },
      { prefix: '4420', priceMicros: 90_000n },
    ],
    moreUpcoming: false,
  });
  expect((await pricesOf('ada', { country: 'GB' })).lookedUp?.upcoming).toEqual([]);
});

it('a country and a number tell of every longer prefix whose price changes', async () => {
  await setNow(start + 7_200_000);
  const rules = [sms('', '20000'), sms('44', '90000'), sms('447', '10000'), sms('4417', '90000')];
  const fax: RateCardJson['rules'][number] = {
    id: 'fax-4420',
    type: 'fax',
    prefix: '4420',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '0',
  };
  await publish({ rules: [...rules, fax] }, 4, 60_000);
  const upcomingOf = async (asked: { number?: string; country?: string }) =>
    (await pricesOf('bob', asked)).lookedUp?.upcoming.map(({ type, prefix }) => [type, prefix]);
  expect(await upcomingOf({ country: 'GB' })).toEqual([
    ['fax', '4420'],
    ['sms', '447'],
  ]);
  expect(await upcomingOf({ number: '+44 7' })).toEqual([['sms', '447']]);
});
