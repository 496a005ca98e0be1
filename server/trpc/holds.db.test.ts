import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { type TestCaller, testCaller, testServices } from './services.fixtures.ts';

let database: TestDatabase;
let api: TestCaller;
let reader: TestCaller;
let users = 0;
let userId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const services = testServices(database.app);
  api = testCaller(services, 'all');
  reader = testCaller(services, 'wallets:read');
});

afterAll(() => database?.close());

beforeEach(async () => {
  users += 1;
  userId = `user-${users}`;
  await api.wallets.open({ userId });
  await api.wallets.grant({ userId, amountMicros: '1000000', key: 'fund', reason: 'test' });
});

const call = (durationSeconds: number) =>
  ({ type: 'call', durationSeconds, to: '+14155550132' }) as const;

it('carries a call from its authorization to its capture, micros as decimal strings', async () => {
  const placed = await api.holds.authorize({ userId, key: 'k', usage: call(60) });
  expect(placed).toMatchObject({ ok: true, heldMicros: '150000', maxSeconds: 1_080 });
  expect.assert(placed.ok);
  const { holdId } = placed;
  expect(await api.holds.extend({ userId, holdId, usageSoFar: call(60) })).toMatchObject({
    ok: true,
    heldMicros: '300000',
    lowBalance: false,
    expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
  });
  expect(await api.wallets.get({ userId })).toMatchObject({
    balanceMicros: '1000000',
    heldMicros: '300000',
    availableMicros: '700000',
  });
  expect(await api.holds.list({ userId })).toMatchObject({
    holds: [{ holdId, referenceId: 'k', heldMicros: '300000', unitsSoFar: '60' }],
  });
  expect(await api.holds.capture({ userId, holdId, usage: call(90) })).toMatchObject({
    ok: true,
    replayed: false,
    amountMicros: '175000',
    balanceMicros: '825000',
    alreadyBilledMicros: '0',
  });
  expect(await api.holds.list({ userId })).toEqual({ holds: [] });
});

it('ends a hold by its id alone', async () => {
  const placed = await api.holds.authorize({ userId, key: 'k', amountMicros: '400000' });
  expect.assert(placed.ok);
  expect(await api.holds.void({ holdId: placed.holdId })).toMatchObject({
    ok: true,
    releasedMicros: '400000',
    availableMicros: '1000000',
  });
});

it('raises a hold by what is added, once', async () => {
  const placed = await api.holds.authorize({ userId, key: 'k', amountMicros: '400000' });
  expect.assert(placed.ok);
  const more = { holdId: placed.holdId, addMicros: '100000' };
  expect(await api.holds.extend(more)).toMatchObject({ ok: true, heldMicros: '500000' });
  expect(await api.holds.extend(more)).toMatchObject({ ok: true, heldMicros: '500000' });
});

it('needs the scope holds:write', async () => {
  await expect(reader.holds.list({ userId })).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

describe('bad input is a BAD_REQUEST that names the field', () => {
  it.each([
    ['neither usage nor an amount', {}, 'usage'],
    ['both usage and an amount', { usage: call(1), amountMicros: '1' }, 'usage'],
    ['a type beside usage', { usage: call(1), type: 'call' }, 'usage'],
    ['a destination without a type', { amountMicros: '1', to: '+1' }, 'to'],
    ['an amount of nothing', { amountMicros: '0' }, 'amountMicros'],
    ['a fractional amount', { amountMicros: '1.5' }, 'amountMicros'],
    ['a time that is too short', { amountMicros: '1', ttlSeconds: 9 }, 'ttlSeconds'],
    ['a time that is too long', { amountMicros: '1', ttlSeconds: 86_401 }, 'ttlSeconds'],
    ['an unknown field', { amountMicros: '1', price: 1 }, 'price'],
    ['no key', { amountMicros: '1', key: undefined }, 'key'],
  ])('authorize with %s', async (_what, change, field) => {
    const input = { userId, key: 'k', ...change } as Parameters<typeof api.holds.authorize>[0];
    await expect(api.holds.authorize(input)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(field),
    });
  });

  it.each([
    ['no UUID', { holdId: 'hold-1' }, 'holdId'],
    ['two names of the wallet', { walletId: '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10' }, 'userId'],
    ['a negative addition', { addMicros: '-1' }, 'addMicros'],
    ['a fractional duration', { usageSoFar: { ...call(1), durationSeconds: 1.5 } }, 'usageSoFar'],
  ])('extend with %s', async (_what, change, field) => {
    const holdId = '7d1f0a52-4b8e-4c5a-9c63-2f0e8d5b6a10';
    await expect(api.holds.extend({ userId, holdId, ...change })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(field),
    });
  });
});
