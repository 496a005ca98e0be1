import { beforeAll, describe, expect, it } from 'vitest';
import { createMonthScenario, type MonthScenario } from '../../dev/month-scenario.ts';
import type { StatementView } from '../../views/statements.ts';

let scenario: MonthScenario;

beforeAll(async () => {
  scenario = await createMonthScenario();
  return () => scenario.db.close();
});

const iso = (statement: StatementView) => ({
  period: statement.period,
  startsAt: statement.startsAt.toISOString(),
  endsAt: statement.endsAt.toISOString(),
});

describe('the period', () => {
  it.each([
    ['Pacific/Pago_Pago', '2026-10', '2026-10-01T11:00:00.000Z', '2026-11-01T11:00:00.000Z'],
    ['Pacific/Kiritimati', '2026-10', '2026-09-30T10:00:00.000Z', '2026-10-31T10:00:00.000Z'],
    ['Europe/Berlin', '2026-03', '2026-02-28T23:00:00.000Z', '2026-03-31T22:00:00.000Z'],
    ['Europe/Berlin', '2026-10', '2026-09-30T22:00:00.000Z', '2026-10-31T23:00:00.000Z'],
    ['America/New_York', '2026-11', '2026-11-01T04:00:00.000Z', '2026-12-01T05:00:00.000Z'],
    ['America/Havana', '2026-10', '2026-10-01T04:00:00.000Z', '2026-11-01T05:00:00.000Z'],
    ['Asia/Kolkata', '2028-02', '2028-01-31T18:30:00.000Z', '2028-02-29T18:30:00.000Z'],
    ['UTC', '2028-02', '2028-02-01T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
    ['UTC', '2027-02', '2027-02-01T00:00:00.000Z', '2027-03-01T00:00:00.000Z'],
    ['Asia/Kathmandu', '2027-04', '2027-03-31T18:15:00.000Z', '2027-04-30T18:15:00.000Z'],
    ['UTC', '2026-12', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ])('in %s of %s is that zone’s own calendar month', async (timezone, period, start, end) => {
    const wallet = await scenario.open(start, { timezone });
    const before = new Date(Date.parse(end) - 1).toISOString();
    await scenario.charge(before, wallet, 1n);
    await scenario.charge(end, wallet, 10n);
    await scenario.db.setClock(before);
    // Where the month is over somewhere, a run may come too early for this wallet.
    if ((await scenario.month.preview(period)) !== null) await scenario.run(before, period);
    expect(await scenario.statements.list(wallet.userId)).toEqual([]);
    await scenario.run(end, period);
    const [statement, ...older] = await scenario.statements.list(wallet.userId);
    expect(older).toEqual([]);
    expect(statement && iso(statement)).toEqual({ period, startsAt: start, endsAt: end });
    expect(statement).toMatchObject({ arrearsMicros: 1n, fromSeq: 1n, toSeq: 2n });
  });

  it('of a wallet that is opened on the 31st is the rest of that month, and then each month', async () => {
    const wallet = await scenario.open('2027-01-31T12:00:00Z');
    for (const at of ['2027-02-28T23:59:59.999Z', '2027-03-31T23:59:59.999Z']) {
      await scenario.charge(at, wallet, 1n);
    }
    await scenario.run('2027-04-30T12:00:00Z', '2027-03');
    const found = (await scenario.statements.list(wallet.userId)).reverse();
    expect(
      found.map(({ arrearsMicros, ...each }) => [
        iso({ arrearsMicros, ...each }).endsAt,
        arrearsMicros,
      ]),
    ).toEqual([
      ['2027-02-01T00:00:00.000Z', 0n],
      ['2027-03-01T00:00:00.000Z', 1n],
      ['2027-04-01T00:00:00.000Z', 2n],
    ]);
  });

  it('ends once where clocks go back across midnight of the 1st', async () => {
    // Havana, 2026-11-01: 00:59 EDT is followed by 00:00 EST, when November begins.
    const wallet = await scenario.open('2026-11-01T04:30:00Z', { timezone: 'America/Havana' });
    await scenario.run('2026-12-01T06:00:00Z', '2026-11');
    const periods = (await scenario.statements.list(wallet.userId)).map(iso).reverse();
    expect(periods).toEqual([
      {
        period: '2026-10',
        startsAt: '2026-10-01T04:00:00.000Z',
        endsAt: '2026-11-01T05:00:00.000Z',
      },
      {
        period: '2026-11',
        startsAt: '2026-11-01T05:00:00.000Z',
        endsAt: '2026-12-01T05:00:00.000Z',
      },
    ]);
  });

  it('starts where the one before ended when the wallet moved to another time zone', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z', { timezone: 'America/New_York' });
    await scenario.run('2026-09-01T06:00:00Z', '2026-08');
    await scenario.db.owner`update wallets set timezone = 'Asia/Tokyo' where id = ${wallet.id}`;
    await scenario.run('2026-10-01T06:00:00Z', '2026-09');
    const [september, august] = await scenario.statements.list(wallet.userId);
    expect(september?.startsAt).toEqual(august?.endsAt);
    expect(september?.endsAt).toEqual(new Date('2026-09-30T15:00:00Z'));
  });

  it('cannot become unknown: a time zone that the database does not know is refused', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await expect(
      scenario.db.owner`update wallets set timezone = 'Mars/Olympus' where id = ${wallet.id}`,
    ).rejects.toThrow(/time zone/);
  });

  it('takes each event once when the clock steps back over the boundary', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.charge('2026-08-31T23:59:59.999Z', wallet, 1n);
    // Recorded in September, so what follows is September's too, whatever the clock says then.
    await scenario.charge('2026-09-01T00:00:00Z', wallet, 10n);
    await scenario.charge('2026-08-31T23:59:59Z', wallet, 100n);
    await scenario.run('2026-09-01T00:00:00.500Z', '2026-08');
    // After the closing nothing can be recorded before it.
    await scenario.charge('2026-08-31T23:59:58Z', wallet, 1_000n);
    await scenario.charge('2026-09-02T00:00:00Z', wallet, 10_000n);
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    const [september, august] = await scenario.statements.list(wallet.userId);
    expect(august?.lines).toMatchObject([{ count: 1, amountMicros: 1n }]);
    expect(september?.lines).toMatchObject([{ count: 4, amountMicros: 11_110n }]);
    const outside = await scenario.db.app`
      select e.seq from statements s
      join wallet_events e on e.wallet_id = s.wallet_id and e.seq between s.from_seq and s.to_seq
      where e.recorded_at < s.starts_at or e.recorded_at >= s.ends_at`;
    expect(outside).toEqual([]);
  });
});
