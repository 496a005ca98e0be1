/** A bank's warning of fraud pauses automatic top-up, once, and its user is told why. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseNotice } from '../../mail/notice.ts';
import { letterOf } from '../../mail/texts.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { recordFraudWarning } from '../../store/disputes.ts';
import { AutoTopUpUser, type AutoTopUpWorld, startAutoTopUpWorld } from './auto-top-up.fixtures.ts';

let world: AutoTopUpWorld;

beforeAll(async () => {
  world = await startAutoTopUpWorld('2026-10-05T12:00:00Z');
});
afterAll(() => world?.close());

/** A user with an account, whose wallet was just topped up automatically. */
async function charged(): Promise<AutoTopUpUser> {
  const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
  const { userId } = user;
  await addUser(world.database.owner, userId);
  await user.turnOn();
  await world.work();
  expect(await user.paidCents()).toEqual([2_500]);
  return user;
}

async function warningOf(user: AutoTopUpUser) {
  const { paymentIntentId } = await user.newest();
  return {
    warningId: `issfr_${user.userId}`,
    paymentIntentId: paymentIntentId ?? '',
    fraudType: 'unauthorized_use_of_card',
    actionable: true,
    createdAt: new Date('2026-10-05T12:00:00Z'),
  };
}

it('a warning that Stripe tells of pauses it, and the mail and the page say why', async () => {
  const user = await charged();
  const { data } = await world.stripe.charges.list({ customer: user.customerId });
  const warning = world.standIn.controls.warnOfFraud(data[0]?.id ?? '');
  const told = world.standIn.controls.events(5).find(({ event }) => event.type.startsWith('radar'));
  expect.assert(told !== undefined);
  const { event } = told;
  for (let times = 0; times < 2; times += 1) {
    await world.events.receive({
      id: `${event.id}_${times}`,
      type: event.type,
      livemode: false,
      apiVersion: event.api_version,
      objectId: warning.id,
      payload: JSON.stringify(event),
    });
    await world.events.apply(`${event.id}_${times}`);
  }
  expect(await user.settings()).toMatchObject({ status: 'paused', reason: 'fraud_warning' });
  const mails = await world.database.owner<{ kind: string; payload: unknown }[]>`
    select kind, payload from mail_outbox
    where user_id = ${user.userId} and kind = 'auto_top_up_paused'`;
  expect(mails).toHaveLength(1);
  const notice = parseNotice('auto_top_up_paused', mails[0]?.payload);
  expect(notice && letterOf(notice).paragraphs[0]).toContain('reported a payment');

  await user.use(24_000_000n);
  await world.work();
  expect(await user.paidCents(), 'nothing more is charged').toEqual([2_500]);
  expect(await world.autoTopUps.resume(user.userId), 'only support lets it go on').toMatchObject({
    ok: false,
  });
});

it('a warning that is told again does not undo what support decided', async () => {
  const user = await charged();
  const warning = await warningOf(user);
  const sql = world.database.app;
  const recorded = await Promise.all(
    Array.from({ length: 10 }, () => recordFraudWarning(sql, warning)),
  );
  expect(recorded).toEqual(Array(10).fill(true));
  expect((await user.settings()).reason).toBe('fraud_warning');
  const resumed = await world.wallets.resumeAutoTopUp({ userId: user.userId }, 'support:test');
  expect(resumed).toEqual({ ok: true });
  await recordFraudWarning(sql, { ...warning, actionable: false });
  expect((await user.settings()).status).toBe('on');
  const [kept] = await sql`
    select actionable from payment_fraud_warnings where warning_id = ${warning.warningId}`;
  expect(kept).toEqual({ actionable: false });
  const log = await sql<{ event: string }[]>`
    select event from auto_top_up_log where wallet_id = ${(await user.wallet()).walletId}
    order by id`;
  expect(log.map(({ event }) => event)).toEqual(['turned_on', 'charged', 'paused', 'resumed']);
});

it('a user who had turned it off cannot turn it on again after a warning', async () => {
  const user = await charged();
  await world.autoTopUps.turnOff(user.userId);
  await recordFraudWarning(world.database.app, await warningOf(user));
  expect(await user.settings()).toMatchObject({ status: 'off', reason: 'fraud_warning' });
  expect(await user.turnOn()).toMatchObject({ ok: false });
});

it('a warning of a payment that credited nothing is not recorded', async () => {
  const warning = { ...(await warningOf(await charged())), warningId: 'issfr_none' };
  const recorded = await recordFraudWarning(world.database.app, {
    ...warning,
    paymentIntentId: 'pi_of_nobody',
  });
  expect(recorded).toBe(false);
});

it('its charge says in the ledger that it was automatic', async () => {
  const user = await charged();
  const { events } = await world.wallets.events((await user.wallet()).walletId, {
    types: ['top_up'],
  });
  expect(events.map(({ detail }) => detail.automatic)).toEqual([true]);
});
