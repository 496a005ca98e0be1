/** A key that Stripe does not take is the operator's to mend, and no refusal of anybody's card. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { createStripeGateway } from '../../stripe/gateway.ts';
import { AutoTopUpUser, type AutoTopUpWorld, startAutoTopUpWorld } from './auto-top-up.fixtures.ts';
import { createAutoTopUpCharging } from './auto-top-up-charging.ts';

let world: AutoTopUpWorld;

beforeAll(async () => {
  world = await startAutoTopUpWorld('2026-10-05T12:00:00Z');
});
afterAll(() => world?.close());

it('it counts against no card, is told to operators, and the charge is made with the right key', async () => {
  const lines: string[] = [];
  const revoked = createAutoTopUpCharging({
    sql: world.database.app,
    gateway: createStripeGateway({ secretKey: 'sk_test_revoked', apiBase: world.standIn.url }),
    livemode: false,
    settlePayment: () => Promise.reject(new Error('nothing is paid with this key')),
    clock: () => new Date(),
    logger: createLogger('error', { write: (line: string) => void lines.push(line) }),
  });
  const user = await AutoTopUpUser.with(world, ['pm_card_visa', 'pm_card_mastercard']);
  await user.turnOn();
  const { walletId } = await user.wallet();
  await revoked.topUp(walletId);
  const { topUpId } = await user.newest();
  await revoked.resume(topUpId);

  expect(await user.settings()).toMatchObject({ status: 'on', reason: null, nextTryAt: null });
  expect(await user.attempts()).toMatchObject([
    { state: 'charging', tries: [{ last4: '4242', failureCode: null }] },
  ]);
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain('Stripe refuses the key of this program');
  expect(lines.join()).not.toContain('sk_test_revoked');

  await world.pass({ minutes: 11 });
  await world.work();
  expect(await user.paidCents()).toEqual([2_500]);
  expect(await user.settings()).toMatchObject({ status: 'on', reason: null });
});
