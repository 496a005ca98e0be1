import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import {
  beginCardRead,
  forgetStripeCustomer,
  moveSavedCard,
  nameSavedCard,
  type ReadCard,
  recordSavedCards,
  removeSavedCard,
  savedCards,
  startCardSetup,
} from './saved-cards.ts';
import type { Sql } from './sql.ts';
import { findStripeCustomer, saveStripeCustomer } from './top-ups.ts';

let database: TestDatabase;
let sql: Sql;
let userId: string;
let customerId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = database.app;
});

afterAll(async () => {
  await database?.close();
});

beforeEach(async () => {
  userId = `user-${randomUUID()}`;
  customerId = `cus_${randomUUID()}`;
  await saveStripeCustomer(sql, { userId, livemode: false, customerId });
});

const own = (paymentMethodId: string) => ({ userId, livemode: false, paymentMethodId });

function card(id: string, change: Partial<ReadCard> = {}): ReadCard {
  return { id: inUser(id), brand: 'visa', last4: '4242', expMonth: 12, expYear: 2034, ...change };
}

/** Ids are the whole table's, and each test has its own. */
function inUser(id: string): string {
  return `pm_${id}_${userId}`;
}

async function read(): Promise<bigint> {
  const number = await beginCardRead(sql, customerId);
  if (number === null) throw new Error('no such customer');
  return number;
}

async function record(...ids: string[]): Promise<string> {
  const cards = ids.map((id) => card(id));
  return recordSavedCards(sql, customerId, await read(), cards);
}

async function order(): Promise<string[]> {
  const cards = await savedCards(sql, userId, false);
  expect(cards.map(({ position }) => position)).toEqual(cards.map((_card, index) => index + 1));
  return cards.map(({ paymentMethodId }) => paymentMethodId.split('_')[1] ?? '');
}

describe('what was read at Stripe', () => {
  it('is recorded in order: the first card is the default, a new one the last backup', async () => {
    expect(await record('a', 'b')).toBe('OK');
    expect(await record('a', 'b', 'c')).toBe('OK');
    expect(await order()).toEqual(['a', 'b', 'c']);
  });

  it('keeps the place and the name of cards that are still there, and closes gaps', async () => {
    await record('a', 'b', 'c');
    await moveSavedCard(sql, { ...own(inUser('c')), position: 1 });
    await nameSavedCard(sql, { ...own(inUser('c')), name: 'Company card' });
    await record('b', 'c');
    expect(await order()).toEqual(['c', 'b']);
    expect(await savedCards(sql, userId, false)).toMatchObject([
      { name: 'Company card' },
      { name: null },
    ]);
  });

  it('brings a new expiry date', async () => {
    await record('a');
    const renewed = [card('a', { expYear: 2040, last4: '1111' })];
    await recordSavedCards(sql, customerId, await read(), renewed);
    expect(await savedCards(sql, userId, false)).toMatchObject([{ expYear: 2040, last4: '1111' }]);
  });

  it('is refused when a reading that began later was recorded before', async () => {
    const older = await read();
    await record('a', 'b');
    expect(await recordSavedCards(sql, customerId, older, [card('c')])).toBe('STALE');
    expect(await order()).toEqual(['a', 'b']);
  });

  it('cannot bring back a card that was removed while Stripe was asked', async () => {
    await record('a', 'b');
    const under = await read();
    expect(await removeSavedCard(sql, own(inUser('a')))).toBe(true);
    expect(await recordSavedCards(sql, customerId, under, [card('a'), card('b')])).toBe('VOID');
    expect(await order()).toEqual(['b']);
  });

  it('says nothing of a customer that is unknown or deleted', async () => {
    await record('a');
    const number = await read();
    await forgetStripeCustomer(sql, customerId);
    expect(await recordSavedCards(sql, customerId, number, [card('a')])).toBe('NO_CUSTOMER');
    expect(await beginCardRead(sql, customerId)).toBeNull();
    expect(await beginCardRead(sql, 'cus_unknown')).toBeNull();
    expect(await order()).toEqual([]);
  });
});

describe('the order', () => {
  it('moves a card to where its user wants it, and no further than the ends', async () => {
    await record('a', 'b', 'c', 'd');
    await moveSavedCard(sql, { ...own(inUser('c')), position: 1 });
    expect(await order()).toEqual(['c', 'a', 'b', 'd']);
    await moveSavedCard(sql, { ...own(inUser('c')), position: 3 });
    expect(await order()).toEqual(['a', 'b', 'c', 'd']);
    await moveSavedCard(sql, { ...own(inUser('a')), position: 99 });
    expect(await order()).toEqual(['b', 'c', 'd', 'a']);
    await moveSavedCard(sql, { ...own(inUser('a')), position: -5 });
    expect(await order()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('stays gapless under changes at the same time', async () => {
    await record('a', 'b', 'c', 'd');
    await Promise.all([
      moveSavedCard(sql, { ...own(inUser('d')), position: 1 }),
      moveSavedCard(sql, { ...own(inUser('a')), position: 4 }),
      removeSavedCard(sql, own(inUser('b'))),
      record('a', 'c', 'd', 'e'),
      moveSavedCard(sql, { ...own(inUser('c')), position: 2 }),
    ]);
    const cards = await order();
    expect(cards).toEqual(expect.arrayContaining(['a', 'c', 'd']));
    expect(cards).not.toContain('b');
  });
});

describe('a card of somebody else', () => {
  it('can be neither moved, named nor removed', async () => {
    await record('a');
    const stranger = { ...own(inUser('a')), userId: `stranger-of-${userId}` };
    expect(await moveSavedCard(sql, { ...stranger, position: 1 })).toBe(false);
    expect(await nameSavedCard(sql, { ...stranger, name: 'Mine' })).toBe(false);
    expect(await removeSavedCard(sql, stranger)).toBe(false);
    await saveStripeCustomer(sql, {
      userId: stranger.userId,
      livemode: false,
      customerId: `cus_${stranger.userId}`,
    });
    expect(await moveSavedCard(sql, { ...stranger, position: 1 })).toBe(false);
    expect(await nameSavedCard(sql, { ...stranger, name: 'Mine' })).toBe(false);
    expect(await removeSavedCard(sql, stranger)).toBe(false);
    expect(await savedCards(sql, userId, false)).toMatchObject([{ name: null, position: 1 }]);
  });
});

it('the database refuses a name that holds a card number, and more of a number than four digits', async () => {
  await record('a');
  for (const name of ['4242424242424242', 'my 4242 4242 4242 4242', '4242-4242-4242', '']) {
    await expect(nameSavedCard(sql, { ...own(inUser('a')), name }), name).rejects.toThrow(
      'saved_cards_name_check',
    );
  }
  await expect(
    recordSavedCards(sql, customerId, await read(), [card('b', { last4: '42424242' })]),
  ).rejects.toThrow('saved_cards_last4_check');
});

it('a deleted customer is replaced by the next, and its late payments keep their customer', async () => {
  await forgetStripeCustomer(sql, customerId);
  await forgetStripeCustomer(sql, customerId);
  expect(await findStripeCustomer(sql, userId, false)).toBeNull();
  await saveStripeCustomer(sql, { userId, livemode: false, customerId: `${customerId}_2` });
  expect(await findStripeCustomer(sql, userId, false)).toBe(`${customerId}_2`);
  const known = await sql<{ id: string }[]>`
    select stripe_customer_id as id from stripe_customers where user_id = ${userId}`;
  expect(known.map(({ id }) => id).sort()).toEqual([customerId, `${customerId}_2`]);
});

it('a setup is begun once for each attempt, and too many in an hour are refused', async () => {
  const start = (attemptKey: string) =>
    startCardSetup(sql, { setupId: randomUUID(), userId, livemode: false, attemptKey });
  const first = await start('attempt-0');
  expect(first).toMatchObject({ code: 'OK' });
  expect(await start('attempt-0')).toEqual(first);
  for (let attempt = 1; attempt < 20; attempt += 1) {
    expect(await start(`attempt-${attempt}`)).toMatchObject({ code: 'OK' });
  }
  expect(await start('attempt-20')).toEqual({ code: 'THROTTLED' });
  expect(await start('attempt-0'), 'one that was begun before goes on').toEqual(first);
});

it('readings recorded in any order end with the newest reading', async () => {
  const ids = ['a', 'b', 'c', 'd'];
  const readings = fc.array(fc.subarray(ids, { minLength: 0 }), { minLength: 2, maxLength: 5 });
  const shuffled = readings.chain((list) =>
    fc.tuple(fc.constant(list), fc.shuffledSubarray([...list.keys()], { minLength: list.length })),
  );
  await fc.assert(
    fc.asyncProperty(shuffled, async ([list, sequence]) => {
      const numbers: bigint[] = [];
      for (const _reading of list) numbers.push(await read());
      for (const index of [...sequence, ...sequence]) {
        const cards = (list[index] ?? []).map((id) => card(id));
        await recordSavedCards(sql, customerId, numbers[index] ?? 0n, cards);
      }
      expect((await order()).sort()).toEqual([...(list.at(-1) ?? [])].sort());
    }),
    { numRuns: 25 },
  );
});
