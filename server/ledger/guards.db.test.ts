import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { chargeWallet } from '../store/charges.ts';
import { verifyRange } from '../store/ledger.ts';
import { connect, type Sql } from '../store/sql.ts';
import { actor, identity, walletWith } from '../store/wallets.fixtures.ts';
import { openWallet } from '../store/wallets.ts';

/** The code of a refusal whose words differ between versions of PostgreSQL. */
const INSUFFICIENT_PRIVILEGE = '42501';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

function charge(
  sql: Sql,
  walletId: string,
  amountMicros: bigint,
  reference: string,
): ReturnType<typeof chargeWallet> {
  return chargeWallet(sql, {
    walletId,
    ...identity(reference),
    amountMicros,
    overrun: 'refuse',
    occurredAt: null,
    actor,
    detail: {},
  });
}

interface Fake {
  seq: bigint;
  type: string;
  delta: bigint;
  balance: bigint;
}

/** Writes an event past the functions, as an owner could. */
function writeEvent(sql: Sql, walletId: string, { seq, type, delta, balance }: Fake) {
  return sql`
    insert into wallet_events (
      wallet_id, seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros,
      balance_micros, held_micros, arrears_micros, overdraft_limit_micros, actor, occurred_at,
      recorded_at, detail, hash
    ) values (
      ${walletId}, ${seq}, ${type}, ${delta}, 0, 0, ${balance}, 0, 0, 0, ${actor}, now(), now(),
      '{}', sha256('fake')
    )`.execute();
}

describe('the database refuses, even to its owner,', () => {
  let walletId: string;
  beforeAll(async () => {
    walletId = await walletWith(database.app, 100n);
  });

  test.each([
    ['UPDATE', 'update wallet_events set actor = actor'],
    ['DELETE', 'delete from wallet_events'],
    ['TRUNCATE', 'truncate wallet_events cascade'],
  ])('%s of events', async (operation, statement) => {
    const before = await database.owner`select count(*) from wallet_events`;
    await expect(database.owner.unsafe(statement)).rejects.toThrow(
      `${operation} of wallet_events is refused: the ledger is append-only`,
    );
    expect(await database.owner`select count(*) from wallet_events`).toEqual(before);
  });

  test.each([
    ['DELETE', 'delete from wallets'],
    ['TRUNCATE', 'truncate wallets cascade'],
  ])('%s of wallets', async (operation, statement) => {
    await expect(database.owner.unsafe(statement)).rejects.toThrow(`${operation} of wallets`);
  });

  test('a gap in the sequence', async () => {
    await expect(
      writeEvent(database.owner, walletId, { seq: 4n, type: 'charge', delta: -1n, balance: 99n }),
    ).rejects.toThrow('wallet_events_follow_previous');
  });

  test('a sequence number used twice', async () => {
    await expect(
      writeEvent(database.owner, walletId, { seq: 2n, type: 'grant', delta: 100n, balance: 100n }),
    ).rejects.toThrow('wallet_events_pkey');
  });

  test('a running balance that is not the one before plus the change', async () => {
    await expect(
      writeEvent(database.owner, walletId, { seq: 3n, type: 'charge', delta: -1n, balance: 100n }),
    ).rejects.toThrow('wallet_events_follow_previous');
  });

  test('a first event that does not start at zero, or opens nothing', async () => {
    const strange = randomUUID();
    await expect(
      writeEvent(database.owner, strange, {
        seq: 1n,
        type: 'wallet_opened',
        delta: 0n,
        balance: 5n,
      }),
    ).rejects.toThrow('wallet_events_start_from_zero');
    await expect(
      writeEvent(database.owner, strange, { seq: 1n, type: 'grant', delta: 5n, balance: 5n }),
    ).rejects.toThrow('wallet_events_start_from_zero');
  });

  test('a wallet that is not where its head event left it', async () => {
    for (const drift of [
      'balance_micros = balance_micros + 1',
      'held_micros = 1',
      'arrears_micros = 1',
      'seq = seq + 1',
      'seq = 1',
    ]) {
      await expect(
        database.owner.unsafe(`update wallets set ${drift} where id = '${walletId}'`),
      ).rejects.toThrow('wallets_stand_on_head_event');
    }
  });

  test('a charge without a key', async () => {
    await expect(
      database.owner`select charge_wallet(${walletId}, null, null, 1, 'refuse', null, ${actor}, '{}')`,
    ).rejects.toThrow('needs its key');
  });
});

describe('the application’s role', () => {
  test.each([
    'insert into wallet_events (wallet_id, seq) values (gen_random_uuid(), 1)',
    'update wallet_events set actor = actor',
    'delete from wallet_events',
    'truncate wallet_events',
    'insert into wallets (id) values (gen_random_uuid())',
    'update wallets set balance_micros = balance_micros + 1',
    "update wallets set status = 'open'",
    'delete from wallets',
    "select append_event(w, 'grant', 1, 0, 0, null, null, 'a:b', null, '{}') from wallets w",
    "select credit_wallet(w, 'top_up', null, null, 1, 'a:b', null, '{}') from wallets w",
    'select settle_due(w) from wallets w',
    "select post_difference(w, -1, 0, null, null, 'a:b', '{}', null) from wallets w",
    "select give_back(w, 1, null, null, 'a:b', '{}', null, now()) from wallets w",
    "select repay_arrears(w, 'a:b', '{}', now(), 0) from wallets w",
    "copy wallet_events from program 'true'",
    'copy wallet_events from stdin',
    'update holds set held_micros = 0',
    'update grants set left_micros = left_micros + 1',
    'update usage_refunds set refunded_micros = 1',
    'update wallet_limits set spent_micros = 0',
    'delete from wallet_limits',
    'select * from verify_wallets(gen_random_uuid(), gen_random_uuid(), 1)',
    'select * from rebuild_wallets(gen_random_uuid(), gen_random_uuid(), true)',
    'create or replace function ledger_now() returns timestamptz language sql return now()',
    'set session_replication_role = replica',
    'alter table wallet_events disable trigger all',
  ])('may not: %s', async (statement) => {
    await expect(database.app.unsafe(statement)).rejects.toMatchObject({
      code: INSUFFICIENT_PRIVILEGE,
    });
  });
});

describe('under concurrency', () => {
  test('one key from 40 connections charges once', async () => {
    const walletId = await walletWith(database.app, 1_000n);
    const many = connect(database.appUrl, { max: 40 });
    try {
      const outcomes = await Promise.all(
        Array.from({ length: 40 }, () => charge(many, walletId, 10n, 'one-call')),
      );
      expect(outcomes.filter(({ code, replayed }) => code === 'OK' && !replayed)).toHaveLength(1);
      expect(outcomes.filter(({ code, replayed }) => code === 'OK' && replayed)).toHaveLength(39);
      expect(new Set(outcomes.map(({ seq, balanceMicros }) => `${seq} ${balanceMicros}`))).toEqual(
        new Set(['3 990']),
      );
    } finally {
      await many.end();
    }
    expect(await balanceOf(walletId)).toBe(990n);
  });

  test('500 charges on a balance of 100 take 100 and never overdraw', async () => {
    const walletId = await walletWith(database.app, 100n);
    const many = connect(database.appUrl, { max: 20 });
    try {
      const outcomes = await Promise.all(
        Array.from({ length: 500 }, (_, index) => charge(many, walletId, 1n, `call-${index}`)),
      );
      expect(outcomes.filter(({ code }) => code === 'OK')).toHaveLength(100);
      expect(outcomes.filter(({ code }) => code === 'INSUFFICIENT_FUNDS')).toHaveLength(400);
    } finally {
      await many.end();
    }
    expect(await balanceOf(walletId)).toBe(0n);
    const [lowest] = await database.app<{ lowest: bigint; events: bigint }[]>`
      select min(balance_micros) as lowest, count(*) as events
      from wallet_events where wallet_id = ${walletId}`;
    expect(lowest).toEqual({ lowest: 0n, events: 102n });
    expect((await verifyRange(database.owner, { from: walletId, to: walletId }, 1)).found).toBe(0n);
  });

  test('two openings of one wallet make one, and no event without a wallet', async () => {
    const userId = `user-${randomUUID()}`;
    const wallets = await Promise.all(
      Array.from({ length: 10 }, () =>
        openWallet(database.app, {
          walletId: randomUUID(),
          userId,
          currency: 'USD',
          timezone: 'UTC',
          mode: 'live',
          actor,
        }),
      ),
    );
    expect(new Set(wallets.map(({ walletId }) => walletId)).size).toBe(1);
    expect(
      await database.app`
        select from wallet_events where not exists (select from wallets where id = wallet_id)`,
    ).toHaveLength(0);
  });
});

describe('time', () => {
  test('recorded_at never decreases within a wallet, also when the clock steps back', async () => {
    await database.setClock('2026-03-01T12:00:00Z');
    const walletId = await walletWith(database.app, 100n);
    await database.setClock('2026-03-01T11:59:00Z');
    await charge(database.app, walletId, 1n, 'while-behind');
    await database.setClock('2026-03-01T12:00:01Z');
    await charge(database.app, walletId, 1n, 'caught-up');
    await database.setClock(null);
    const events = await database.app<{ recordedAt: Date }[]>`
      select recorded_at as "recordedAt" from wallet_events
      where wallet_id = ${walletId} order by seq`;
    expect(events.map(({ recordedAt }) => recordedAt.toISOString())).toEqual([
      '2026-03-01T12:00:00.000Z',
      '2026-03-01T12:00:00.000Z',
      '2026-03-01T12:00:00.000Z',
      '2026-03-01T12:00:01.000Z',
    ]);
  });
});

async function balanceOf(walletId: string): Promise<bigint | undefined> {
  const [row] = await database.app<{ balance: bigint }[]>`
    select balance_micros as balance from wallets where id = ${walletId}`;
  return row?.balance;
}
