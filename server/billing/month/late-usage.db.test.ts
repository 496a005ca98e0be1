/** Statements name the part of their usage that was used in earlier months. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createMonthScenario,
  type MonthScenario,
  type TestWallet,
} from '../../dev/month-scenario.ts';
import { csvRecords } from '../../ledger/csv.ts';
import type { StatementLine } from '../../ledger/statement.ts';
import { verifyExport } from '../../ledger/verify-export.ts';
import { extendHolds, writeHolds } from '../../store/holds.ts';
import { verifyRange } from '../../store/ledger.ts';
import { createOldDatabase, type OldDatabase } from '../../store/old-database.fixtures.ts';
import type { StatementView } from '../../views/statements.ts';
import { eventsCsv, statementCsv } from './statements.ts';

const second = 1_000;
const hour = 3_600 * second;

const shifted = (instant: string, ms: number) => new Date(Date.parse(instant) + ms).toISOString();

/** The ledger is what its events say, and so is each statement's file, without the database. */
async function expectProven({ db, statements }: MonthScenario, wallet: TestWallet) {
  const range = { from: wallet.id, to: wallet.id };
  expect((await verifyRange(db.owner, range, 5)).differences).toEqual([]);
  for (const statement of await statements.list(wallet.userId)) {
    const file = csvRecords([statementCsv(statement, [])]);
    const verified = await verifyExport(csvRecords(eventsCsv(db.app, statement)), {
      statement: file,
    });
    expect(verified).toMatchObject({ ok: true });
  }
}

/** The lines added up by type, in its order. */
function byType(lines: readonly StatementLine[]): StatementLine[] {
  const types = [...new Set(lines.map(({ type }) => type))].sort();
  return types.map((type) => {
    const ofType = lines.filter((line) => line.type === type);
    return {
      type,
      count: ofType.length,
      units: ofType.reduce((sum, { units }) => sum + units, 0),
      amountMicros: ofType.reduce((sum, { amountMicros }) => sum + amountMicros, 0n),
    };
  });
}

describe('late usage', () => {
  let scenario: MonthScenario;

  beforeAll(async () => {
    scenario = await createMonthScenario();
    return () => scenario.db.close();
  });

  async function latest(wallet: TestWallet): Promise<StatementView> {
    const [statement] = await scenario.statements.list(wallet.userId);
    expect.assert(statement);
    return statement;
  }

  it.each([
    ['Pacific/Pago_Pago', '2026-10', '2026-10-01T11:00:00.000Z'],
    ['Pacific/Kiritimati', '2026-10', '2026-09-30T10:00:00.000Z'],
    ['Asia/Kolkata', '2028-03', '2028-02-29T18:30:00.000Z'],
    // Clocks went forward two days before, and back a week before.
    ['Europe/Berlin', '2026-04', '2026-03-31T22:00:00.000Z'],
    ['Europe/Berlin', '2026-11', '2026-10-31T23:00:00.000Z'],
    // The hour before is called 00:00 to 00:59 of the 1st, too: clocks go back over midnight.
    ['America/Havana', '2026-11', '2026-11-01T05:00:00.000Z'],
    // There is no midnight: clocks go forward from 00:00 to 01:00 of the 1st.
    ['America/Asuncion', '2023-10', '2023-10-01T04:00:00.000Z'],
  ])(
    'in %s of %s is what occurred before that zone’s month began',
    async (timezone, period, start) => {
      const wallet = await scenario.open(start, { timezone });
      const told = shifted(start, 40 * hour);
      const charge = (micros: bigint, occurredAt: string) =>
        scenario.charge(told, wallet, micros, undefined, occurredAt);
      await charge(1n, shifted(start, -second / 1_000));
      await charge(10n, start);
      await charge(100n, shifted(start, -400 * hour));
      await charge(1_000n, told);
      await scenario.run(shifted(start, 32 * 24 * hour), period);
      expect(await latest(wallet)).toMatchObject({
        period,
        startsAt: new Date(start),
        lines: [{ type: 'call', count: 4, units: 240, amountMicros: 1_111n }],
        lateLines: [{ type: 'call', count: 2, units: 120, amountMicros: 101n }],
      });
    },
  );

  it.each(['live', 'deferred'] as const)(
    'of a %s wallet is named once, by type, in the month in which it is told',
    async (mode) => {
      const wallet = await scenario.open('2026-08-10T00:00:00Z', { mode });
      await scenario.grant('2026-08-10T00:00:00Z', wallet, 1_000_000n);
      await scenario.run('2026-09-01T02:00:00Z', '2026-08');
      const sms = { usage: { type: 'sms' }, units: 3 };
      await scenario.charge('2026-09-02T00:00:00Z', wallet, 7n, sms, '2026-08-20T00:00:00Z');
      await scenario.charge('2026-09-02T00:00:00Z', wallet, 5n, sms);
      await scenario.charge('2026-09-03T00:00:00Z', wallet, 40n, undefined, '2026-06-20T00:00:00Z');
      await scenario.run('2026-11-01T02:00:00Z', '2026-10');
      const found = await scenario.statements.list(wallet.userId);
      expect(found.map(({ period, lateLines }) => [period, lateLines])).toEqual([
        ['2026-10', []],
        [
          '2026-09',
          [
            { type: 'call', count: 1, units: 60, amountMicros: 40n },
            { type: 'sms', count: 1, units: 3, amountMicros: 7n },
          ],
        ],
        ['2026-08', []],
      ]);
      await expectProven(scenario, wallet);
    },
  );

  it('stays what it was when it is refunded, which the month of the refund says', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.grant('2026-08-10T00:00:00Z', wallet, 1_000_000n);
    const key = randomUUID();
    await scenario.db.setClock('2026-09-02T00:00:00Z');
    const { app } = scenario.db;
    await app`select charge_wallet(${wallet.id}, ${key}, sha256('charge'), 300000, 'refuse',
      '2026-08-20T00:00:00Z', 'test:month', '{"usage": {"type": "call"}, "units": 60}')`;
    for (const [at, micros] of [
      ['2026-09-03T00:00:00Z', 100_000n],
      ['2026-10-03T00:00:00Z', null],
    ] as const) {
      await scenario.db.setClock(at);
      await app`select refund_usage(${wallet.id}, ${randomUUID()}, sha256('refund'), ${key}, ${key},
        'call', ${micros}, 'test:month', '{}')`;
    }
    await scenario.run('2026-11-01T02:00:00Z', '2026-10');
    const [october, september] = await scenario.statements.list(wallet.userId);
    expect(september).toMatchObject({
      usageMicros: -300_000n,
      refundsMicros: 100_000n,
      lateLines: [{ type: 'call', count: 1, units: 60, amountMicros: 300_000n }],
    });
    expect(october).toMatchObject({ refundsMicros: 200_000n, lines: [], lateLines: [] });
    await expectProven(scenario, wallet);
  });

  const step = fc.record({
    hoursLater: fc.constantFrom(1, 30, 200, 500),
    lateHours: fc.constantFrom(0, 1, 100, 700, 2_000),
    type: fc.constantFrom('call', 'email'),
    units: fc.integer({ min: 0, max: 9 }),
    amountMicros: fc.bigInt({ min: 0n, max: 4_000_000n }),
  });

  it.each([
    ['live', 'America/Havana'],
    ['deferred', 'Pacific/Kiritimati'],
  ] as const)(
    'of a %s wallet in %s is in each statement what its charges say, and proven',
    async (mode, timezone) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 15 }), async (steps) => {
          let nowMs = Date.parse('2026-09-20T00:00:00Z');
          const wallet = await scenario.open(new Date(nowMs).toISOString(), { mode, timezone });
          const charges = [];
          for (const { hoursLater, lateHours, type, units, amountMicros } of steps) {
            nowMs += hoursLater * hour;
            const [told, occurred] = [new Date(nowMs), new Date(nowMs - lateHours * hour)];
            charges.push({ told, occurred, line: { type, count: 1, units, amountMicros } });
            await scenario.charge(
              told.toISOString(),
              wallet,
              amountMicros,
              { usage: { type }, units },
              occurred.toISOString(),
            );
          }
          await scenario.run('2028-01-02T00:00:00Z', '2027-12');
          for (const { startsAt, endsAt, lateLines } of await scenario.statements.list(
            wallet.userId,
          )) {
            const late = charges.filter(
              ({ told, occurred }) => told >= startsAt && told < endsAt && occurred < startsAt,
            );
            expect(lateLines).toEqual(byType(late.map(({ line }) => line)));
          }
          await expectProven(scenario, wallet);
        }),
        { numRuns: 5 },
      );
    },
    60_000,
  );

  it('is also that of a hold which ran out before the month, and was billed in it', async () => {
    const wallet = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.grant('2026-08-10T00:00:00Z', wallet, 1_000_000n);
    await scenario.db.setClock('2026-08-31T23:58:00Z');
    const hold = { walletId: wallet.id, holdId: randomUUID(), ttlSeconds: 60, actor: 'test:month' };
    await writeHolds(scenario.db.app, [
      {
        kind: 'authorize',
        ...hold,
        key: randomUUID(),
        requestHash: Buffer.alloc(32),
        amountMicros: 300_000n,
        referenceId: 'late',
        rateCardId: randomUUID(),
        pricing: {},
        usageType: 'call',
        destination: null,
        detail: {},
      },
    ]);
    const report = { usage: { type: 'call' }, units: 30, breakdown: {} };
    await extendHolds(scenario.db.app, [
      { ...hold, report, amountMicros: 200_000n, addMicros: null },
    ]);
    await scenario.grant('2026-09-01T00:05:00Z', wallet, 1n);
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    expect(await latest(wallet)).toMatchObject({
      lateLines: [{ type: 'call', count: 1, units: 30, amountMicros: 200_000n }],
    });
  });
});

describe('statements of before late usage was named', () => {
  let old: OldDatabase;
  const wallet = { id: randomUUID(), userId: 'user-of-before' };

  beforeAll(async () => {
    old = await createOldDatabase('_late_usage.sql');
    const { owner, setClock } = old.database;
    const charge = async (at: string) => {
      await setClock(at);
      await owner`select charge_wallet(${wallet.id}, ${randomUUID()}, sha256('charge'), 7,
        'arrears', '2026-07-20T00:00:00Z', 'test:old', '{"usage": {"type": "call"}, "units": 60}')`;
    };
    await setClock('2026-08-10T00:00:00Z');
    await owner`select open_wallet(${wallet.id}, ${wallet.userId}, 'USD', 'UTC', 'live', 'test:old')`;
    await charge('2026-08-11T00:00:00Z');
    await charge('2026-09-01T02:00:00Z');
    await owner`select write_statements(array[${wallet.id}]::uuid[], '2026-08', ledger_now())`;
    await old.upgrade();
    return () => old.close();
  });

  it('stay as they were, valid and provable; those behind them name it', async () => {
    const scenario = await createMonthScenario(old.database);
    await scenario.charge('2026-09-02T00:00:00Z', wallet, 5n, undefined, '2026-08-20T00:00:00Z');
    await scenario.run('2026-10-01T02:00:00Z', '2026-09');
    const [september, august] = await scenario.statements.list(wallet.userId);
    expect.assert(september && august);
    expect(august.lateLines).toBeNull();
    expect(statementCsv(august, [])).not.toContain('late');
    expect(september.lateLines).toEqual([
      { type: 'call', count: 2, units: 120, amountMicros: 12n },
    ]);
    await expectProven(scenario, wallet);
  });

  it('are the only ones that may be silent about it', async () => {
    await expect(
      old.database.owner.begin(async (sql) => {
        await sql`alter table statements disable trigger statements_append_only`;
        await sql`update statements set late_lines = null where period = '2026-09'`;
      }),
    ).rejects.toThrow(/statements_tell_late_usage/);
  });
});
