import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Scope } from '../billing/accounts/api-keys.ts';
import { describeRefusal } from '../client/refusals.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { type TestCaller, testCaller, testServices } from './services.fixtures.ts';

let database: TestDatabase;
let callerWith: (scope: Scope) => TestCaller;
let api: TestCaller;
let users = 0;
let userId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const services = testServices(database.app);
  callerWith = (scope) => testCaller(services, scope);
  api = callerWith('all');
});

afterAll(() => database?.close());

beforeEach(async () => {
  users += 1;
  userId = `user-${users}`;
  await api.wallets.open({ userId });
  await api.wallets.grant({ userId, amountMicros: '1000000', key: 'fund', reason: 'test' });
});

const limit = { period: 'day', amountMicros: '30000', type: 'sms' } as const;

it('sets limits, shows how they stand, and names the one that refuses, micros as decimal strings', async () => {
  const resetsAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT00:00:00\.000Z$/);
  expect(await api.wallets.setLimits({ userId, limits: [limit] })).toEqual({
    ok: true,
    changed: true,
    seq: '3',
    limits: [{ ...limit, spentMicros: '0', reservedMicros: '0', leftMicros: '30000', resetsAt }],
  });
  const usage = { type: 'sms', to: '+14155550132' } as const;
  await api.usage.charge({ userId, usage, referenceId: 'a' });
  const refused = await api.usage.charge({ userId, usage, referenceId: 'b' });
  expect(refused).toEqual({
    ok: false,
    code: 'LIMIT_EXCEEDED',
    limit: { period: 'day', type: 'sms' },
    currency: 'USD',
    limitMicros: '30000',
    spentMicros: '20000',
    reservedMicros: '0',
    requiredMicros: '20000',
    leftMicros: '10000',
    resetsAt,
  });
  expect.assert(!refused.ok);
  expect(describeRefusal(refused)).toContain(
    'Spending limit of the day: 0.01 USD of 0.03 USD left',
  );
  expect(await api.holds.authorize({ userId, key: 'k', usage })).toMatchObject({
    code: 'LIMIT_EXCEEDED',
    leftMicros: '10000',
  });
  expect(await api.wallets.limits({ userId })).toMatchObject({
    timezone: 'UTC',
    limits: [{ spentMicros: '20000', leftMicros: '10000' }],
  });
  expect(await api.wallets.get({ userId })).toMatchObject({
    limited: true,
    affordableMicros: '980000',
  });
});

it('needs the scope wallets:manage, and wallets:read to look', async () => {
  await expect(
    callerWith('wallets:write').wallets.setLimits({ userId, limits: [] }),
  ).rejects.toMatchObject({ message: 'This API key lacks the scope wallets:manage.' });
  expect(await callerWith('wallets:manage').wallets.setLimits({ userId, limits: [] })).toEqual({
    ok: true,
    changed: false,
    seq: '2',
    limits: [],
  });
  expect(await callerWith('wallets:read').wallets.limits({ userId })).toMatchObject({ limits: [] });
});

describe('bad input is a BAD_REQUEST that names the field', () => {
  it.each([
    ['a negative amount', { amountMicros: '-1' }, 'amountMicros'],
    ['a fractional amount', { amountMicros: '1.5' }, 'amountMicros'],
    ['an amount that no wallet holds', { amountMicros: '1000000000000000001' }, 'amountMicros'],
    ['no amount', { amountMicros: undefined }, 'amountMicros'],
    ['an unknown period', { period: 'week' }, 'period'],
    ['an unknown type', { type: 'telegram' }, 'type'],
    ['a prefix with a plus', { prefix: '+1900' }, 'prefix'],
    ['a prefix that is too long', { prefix: '1234567890123456' }, 'prefix'],
    ['an empty prefix', { prefix: '' }, 'prefix'],
    ['a prefix of what goes to no number', { type: 'email', prefix: '1' }, 'prefix'],
    ['an unknown field', { price: 1 }, 'price'],
  ])('%s', async (_what, change, field) => {
    const limits = [{ ...limit, ...change }] as (typeof limit)[];
    await expect(api.wallets.setLimits({ userId, limits })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(field),
    });
  });

  it.each([
    ['the same twice', [limit, { ...limit, amountMicros: '1' }]],
    ['too many', Array.from({ length: 21 }, (_, i) => ({ ...limit, prefix: `${i}` }))],
  ])('%s', async (_what, limits) => {
    await expect(api.wallets.setLimits({ userId, limits })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('limits'),
    });
  });
});
