/** Refunds to cards as services ask for them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Scope } from '../billing/accounts/api-keys.ts';
import type { Payment } from '../billing/money-back/money-back.fixtures.ts';
import {
  type RefundWorld,
  startRefundWorld,
} from '../billing/money-back/payment-refunds.fixtures.ts';
import { describeRefusal } from '../client/refusals.ts';
import { type TestCaller, testCaller, testServices } from './services.fixtures.ts';

let world: RefundWorld;
let callerWith: (scope: Scope) => TestCaller;
let api: TestCaller;
let users = 0;

beforeAll(async () => {
  world = await startRefundWorld();
  const services = testServices(world.database.app, world.gateway);
  callerWith = (scope) => testCaller(services, scope);
  api = callerWith('refund:create');
});

afterAll(() => world?.stop());

function paid(amount = '10'): Promise<Payment> {
  users += 1;
  return world.paid(`user-${users}`, amount);
}

it('refunds a part of a top-up once, by its key, and says how it stands', async () => {
  const { userId, topUpId } = await paid();
  const request = { userId, topUpId, amountMicros: '4000000', key: 'a', reason: 'asked for' };
  const answer = await api.wallets.refundTopUps(request);
  expect(answer).toEqual({
    ok: true,
    replayed: false,
    requestId: expect.any(String),
    seq: '3',
    amountMicros: '4000000',
    balanceMicros: '6000000',
    availableMicros: '6000000',
    refunds: [
      {
        refundId: expect.any(String),
        topUpId,
        amountMicros: '4000000',
        status: 'succeeded',
        failureCode: null,
      },
    ],
  });
  expect(await api.wallets.refundTopUps(request)).toEqual({ ...answer, replayed: true });
  const reader = callerWith('wallets:read');
  expect(await reader.wallets.topUpRefunds({ userId })).toMatchObject({
    refundableMicros: '6000000',
    topUps: [{ topUpId, amountMicros: '10000000', refundableMicros: '6000000' }],
    refunds: [{ status: 'succeeded', reason: 'asked for', requestedBy: 'api_key:key_test' }],
  });
});

it('refuses what may not go back, and says how much may', async () => {
  const { userId, topUpId } = await paid();
  const request = { userId, key: 'b', reason: 'asked for' };
  const refused = await api.wallets.refundTopUps({ ...request, amountMicros: '10010000' });
  expect(refused).toEqual({ ok: false, code: 'NOT_REFUNDABLE', refundableMicros: '10000000' });
  expect.assert(!refused.ok);
  expect(describeRefusal(refused)).toBe('Not refundable: at most 10000000 micros are.');
  expect(await api.wallets.refundTopUps(request)).toMatchObject({ ok: true });
  expect(await api.wallets.refundTopUps({ ...request, topUpId })).toMatchObject({
    code: 'KEY_REUSED',
  });
  expect(await api.wallets.refundTopUps({ ...request, userId: 'nobody' })).toEqual({
    ...{ ok: false, code: 'WALLET_NOT_FOUND' },
  });
});

it('names what is malformed', async () => {
  const { userId } = await paid();
  const request = { userId, key: 'c', reason: 'asked for' };
  const send = (more: object) => api.wallets.refundTopUps({ ...request, ...more });
  for (const amountMicros of ['0', '-10000', '1.5', '10001']) {
    await expect(send({ amountMicros }), amountMicros).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
  }
  await expect(send({ topUpId: 'pi_1' })).rejects.toThrow('topUpId');
  await expect(send({ reason: ' ' })).rejects.toThrow('reason');
  await expect(send({ amountMicros: '10001' })).rejects.toThrow('whole steps of 0.01 USD');
});

it.each(['wallets:read', 'wallets:manage', 'credit:grant', 'usage:refund'] as const)(
  'is not for a key with %s alone',
  async (scope) => {
    const { userId } = await paid();
    const request = { userId, key: 'd', reason: 'asked for' };
    await expect(callerWith(scope).wallets.refundTopUps(request)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  },
);
