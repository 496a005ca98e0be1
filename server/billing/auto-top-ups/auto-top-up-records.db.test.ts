/** What of automatic top-up is audited, and what its users are told by mail. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { layOut } from '../../mail/layout.ts';
import { parseNotice } from '../../mail/notice.ts';
import { letterOf } from '../../mail/texts.ts';
import { addUser } from '../../store/accounts.fixtures.ts';
import { verifyRange } from '../../store/ledger.ts';
import { AutoTopUpUser, type AutoTopUpWorld, startAutoTopUpWorld } from './auto-top-up.fixtures.ts';

let world: AutoTopUpWorld;

beforeAll(async () => {
  world = await startAutoTopUpWorld('2026-10-05T12:00:00Z');
});

afterEach(() => world.standIn.controls.clearFaults());

afterAll(() => world?.close());

async function problemsOf(user: AutoTopUpUser): Promise<string[]> {
  const { walletId } = await user.wallet();
  const range = { from: walletId, to: walletId };
  const { differences } = await verifyRange(world.database.owner, range, 10);
  return differences.map(({ problem }) => problem);
}

describe('ledger verify', () => {
  it('finds terms that nobody agreed to, a cap that was passed and a charge put wrong', async () => {
    const sql = world.database.owner;
    const user = await AutoTopUpUser.with(world, ['pm_card_visa']);
    await user.turnOn();
    await world.work();
    const { walletId } = await user.wallet();
    expect(await problemsOf(user)).toEqual([]);
    await sql`update auto_top_ups set monthly_cap_micros = 900000000 where wallet_id = ${walletId}`;
    expect(await problemsOf(user)).toEqual(['AUTO_TOP_UP_CONSENT']);
    await sql`update auto_top_ups set monthly_cap_micros = 100000000 where wallet_id = ${walletId}`;
    await sql`update auto_top_up_attempts set state = 'failed' where wallet_id = ${walletId}`;
    expect(await problemsOf(user)).toEqual(['AUTO_TOP_UP_STATE']);
    await sql`update auto_top_up_attempts set state = 'succeeded', amount_micros = 100010000
      where wallet_id = ${walletId}`;
    expect(await problemsOf(user)).toEqual(['AUTO_TOP_UP_STATE', 'AUTO_TOP_UP_CAP']);
    await sql`update auto_top_up_attempts set amount_micros = 25000000 where wallet_id = ${walletId}`;
    await sql`update top_ups set kind = 'manual' where wallet_id = ${walletId}`;
    expect(await problemsOf(user)).toEqual(['AUTO_TOP_UP_STATE']);
  });

  it('need not look for consents that were changed: the database refuses it', async () => {
    await expect(world.database.owner`update auto_top_up_log set actor = 'x:y'`).rejects.toThrow();
    await expect(world.database.app`delete from auto_top_ups`).rejects.toThrow('permission denied');
  });
});

describe('by mail', () => {
  async function withAccount(cards: string[]): Promise<AutoTopUpUser> {
    const user = await AutoTopUpUser.with(world, cards);
    await addUser(world.database.owner, user.userId);
    return user;
  }

  async function mailsOf(user: AutoTopUpUser) {
    const rows = await world.database.owner<{ kind: string; payload: unknown }[]>`
      select kind, payload from mail_outbox where user_id = ${user.userId} order by created_at, kind`;
    return rows.map(({ kind, payload }) => {
      const notice = parseNotice(kind, payload);
      if (notice === null) {
        throw new Error(`${kind} cannot be read`);
      }
      return notice;
    });
  }
  const sender = { appName: 'Prepaid Wallet', appUrl: 'https://wallet.example.com' };

  it('the user gets the link that finishes the payment, and the outbox no secret', async () => {
    const user = await withAccount(['pm_card_authenticationRequired']);
    await user.turnOn();
    await world.work();
    const [notice] = await mailsOf(user);
    expect(notice).toMatchObject({ kind: 'payment_to_confirm', no: 1, amountMicros: 25_000_000n });
    expect(JSON.stringify(notice, (_key, value) => String(value))).not.toContain('token');
    if (notice?.kind !== 'payment_to_confirm') {
      throw new Error('no link');
    }
    const mail = layOut(letterOf({ ...notice, token: 'signed.1.token' }), sender);
    expect(mail.text).toContain('https://wallet.example.com/confirm-payment?token=signed.1.token');
    expect(mail.subject).toBe('Confirm your automatic top-up of $25.00');
  });

  it('the first refusal and the pause at the end are told, and a card that gave way is not', async () => {
    const backup = await withAccount(['pm_card_chargeCustomerFail', 'pm_card_visa']);
    await backup.turnOn();
    const user = await withAccount(['pm_card_chargeCustomerFail']);
    await user.turnOn();
    await world.work();
    for (const hours of [1, 6, 24]) {
      await world.pass({ hours });
      await world.work();
    }
    expect((await mailsOf(user)).map(({ kind }) => kind)).toEqual([
      'auto_top_up_failed',
      'auto_top_up_paused',
    ]);
    expect((await mailsOf(backup)).filter(({ kind }) => kind.includes('fail'))).toEqual([]);
  });

  it('a burst of usage and a cap that is reached are told', async () => {
    const burst = await withAccount(['pm_card_visa']);
    await burst.turnOn();
    for (let n = 0; n < 30; n += 1) {
      await burst.use(10_000n, `+24155000${n}`);
    }
    const capped = await withAccount(['pm_card_visa']);
    await capped.turnOn({ monthlyCap: '25' });
    await world.work();
    await capped.use(20_000_000n);
    await world.work();
    const [paused] = await mailsOf(burst);
    expect(paused && layOut(letterOf(paused), sender).text).toContain(
      '30 charges went to numbers that begin with +241550',
    );
    expect((await mailsOf(capped)).map(({ kind }) => kind)).toEqual(['auto_top_up_cap_reached']);
  });
});
