import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { chargeWallet } from '../store/charges.ts';
import { changeWalletStatus } from '../store/wallet-status.ts';
import { actor, identity } from '../store/wallets.fixtures.ts';
import { openWallet } from '../store/wallets.ts';
import { captured } from './captured.fixtures.ts';
import { createLedgerWorld, type LedgerWorld } from './ledger.fixtures.ts';
import { verifyLedger } from './ledger-check.ts';

let world: LedgerWorld;
beforeAll(async () => {
  world = await createLedgerWorld();
});
afterAll(() => world?.database.close());

/** A wallet with the events of `newWallet`, all in January, whose January is closed. */
async function closedWallet(): Promise<string> {
  await world.database.setClock('2026-01-10T00:00:00Z');
  const walletId = await world.newWallet();
  await world.database.setClock('2026-02-01T02:00:00Z');
  await closeMonths(walletId, '2026-01');
  await world.database.setClock(null);
  return walletId;
}

async function closeMonths(walletId: string, period: string): Promise<void> {
  await world.database
    .owner`select close_wallets(array[${walletId}::uuid], ${period}, ledger_now())`;
}

/** Pays 5.00 into a wallet, as event 6 after those of `newWallet`. Returns the top-up's id. */
async function topUp(walletId: string): Promise<string> {
  const topUpId = randomUUID();
  const userId = `user-${walletId}`;
  await world.database.owner`
    insert into stripe_customers (user_id, livemode, stripe_customer_id)
    values (${userId}, false, ${`cus_${topUpId}`})`;
  await world.database.app`
    select start_top_up(${topUpId}, ${walletId}, ${topUpId}, 5000000, 500, false)`;
  const [applied] = await world.database.app<{ code: string; seq: bigint }[]>`
    select code, seq from apply_top_up(${`pi_${topUpId}`}, ${topUpId}, ${`cus_${topUpId}`}, 'USD',
      500, false, ${actor}, now())`;
  expect(applied).toEqual({ code: 'CREDITED', seq: 6n });
  return topUpId;
}

interface Report {
  durationMs: number;
  events: number;
  wallets: number;
  found: number;
  repaired?: number;
  differences: { walletId: string; seq?: string; problem: string; repaired?: boolean }[];
}

async function report(...args: string[]): Promise<{ code: number; report: Report }> {
  const { code, out, err } = await world.ledger([...args, '--json']);
  expect(err).toBe('');
  return { code, report: JSON.parse(out) as Report };
}

const withoutTime = ({ durationMs, ...found }: Report) => found;

/** What verification finds when it replays no more than two events at once. */
async function verifiedInParts(walletId: string | null): Promise<Report> {
  const { out } = await captured((output) =>
    verifyLedger(world.database.owner, { walletId, json: true }, output, 2),
  );
  return JSON.parse(out) as Report;
}

async function problemsOf(walletId: string): Promise<string[]> {
  const { code, report: found } = await report('verify', '--wallet', walletId);
  expect(code).toBe(found.found === 0 ? 0 : 1);
  expect(found.differences.every((difference) => difference.walletId === walletId)).toBe(true);
  expect(withoutTime(await verifiedInParts(walletId))).toEqual(withoutTime(found));
  return found.differences.map(({ seq, problem }) => (seq ? `${seq} ${problem}` : problem)).sort();
}

describe('npm run ledger -- verify', () => {
  let walletId: string;
  beforeEach(async () => {
    walletId = await world.newWallet();
  });

  test('finds nothing in what the functions wrote, and says how much it checked', async () => {
    expect(await world.ledger(['verify', '--wallet', walletId])).toEqual({
      code: 0,
      out: expect.stringMatching(
        /^5 events of 1 wallets checked in \d+\.\d s: 0 differences found\n$/,
      ),
      err: '',
    });
  });

  const event = (seq: number, change: string) => () =>
    world.tamper(
      `update wallet_events set ${change} where wallet_id = '${walletId}' and seq = ${seq}`,
    );

  test.each([
    [
      'an amount',
      event(3, 'balance_delta_micros = balance_delta_micros + 1'),
      ['3 EVENT_HASH', '3 EVENT_TOTAL', 'WALLET_SUM'],
    ],
    [
      'an amount with the total after it',
      event(
        3,
        'balance_delta_micros = balance_delta_micros + 1, balance_micros = balance_micros + 1',
      ),
      ['3 EVENT_HASH', '4 EVENT_TOTAL', 'WALLET_SUM'],
    ],
    ['a detail', event(2, `detail = '{"note":"other"}'`), ['2 EVENT_HASH']],
    ['an actor', event(4, `actor = 'service:other'`), ['4 EVENT_HASH']],
    [
      'a microsecond',
      event(4, `occurred_at = occurred_at + interval '1 microsecond'`),
      ['4 EVENT_HASH'],
    ],
    ['a hash', event(3, `hash = sha256('other')`), ['3 EVENT_HASH', '4 EVENT_HASH']],
    [
      'a time',
      event(5, `recorded_at = recorded_at - interval '1 day'`),
      ['5 EVENT_HASH', '5 EVENT_TIME'],
    ],
    [
      'a deleted event at the end',
      () => world.tamper(`delete from wallet_events where wallet_id = '${walletId}' and seq = 5`),
      // The event said what it burned of the grant.
      ['4 GRANT_SUM', 'WALLET_GRANTS', 'WALLET_HASH', 'WALLET_SEQUENCE', 'WALLET_SUM'],
    ],
    [
      'a deleted event in the middle',
      () => world.tamper(`delete from wallet_events where wallet_id = '${walletId}' and seq = 3`),
      [
        ...['2 GRANT_SUM', '4 EVENT_HASH', '4 EVENT_SEQUENCE', '4 EVENT_TOTAL'],
        ...['WALLET_GRANTS', 'WALLET_SUM'],
      ],
    ],
    [
      'a drifted wallet',
      () => world.tamper(`update wallets set balance_micros = 5 where id = '${walletId}'`),
      ['WALLET_SUM'],
    ],
    [
      'a wallet of another currency',
      () => world.tamper(`update wallets set currency = 'KWD' where id = '${walletId}'`),
      ['WALLET_CURRENCY'],
    ],
    [
      'a wallet of another user',
      () => world.tamper(`update wallets set user_id = 'thief-' || id where id = '${walletId}'`),
      ['WALLET_USER'],
    ],
    [
      'a wallet of another mode',
      () => world.tamper(`update wallets set mode = 'deferred' where id = '${walletId}'`),
      ['WALLET_MODE'],
    ],
    [
      'a wallet of another time zone',
      () => world.tamper(`update wallets set timezone = 'Asia/Tokyo' where id = '${walletId}'`),
      ['WALLET_TIMEZONE'],
    ],
    [
      'a wallet that may be overdrawn',
      () => world.tamper(`update wallets set overdraft_limit_micros = 1 where id = '${walletId}'`),
      ['WALLET_OVERDRAFT'],
    ],
    [
      'a wallet that was frozen without an event',
      () => world.tamper(`update wallets set status = 'frozen' where id = '${walletId}'`),
      ['WALLET_STATUS'],
    ],
    [
      'a wallet that is open though its events froze it',
      async () => {
        const detail = { reason: 'stolen card' };
        await changeWalletStatus(world.database.app, { walletId, status: 'frozen', actor, detail });
        await world.tamper(`update wallets set status = 'open' where id = '${walletId}'`);
      },
      ['WALLET_STATUS'],
    ],
    [
      'a wallet without events',
      () => world.tamper(`delete from wallet_events where wallet_id = '${walletId}'`),
      ['2 GRANT_SUM', '4 GRANT_SUM', 'WALLET_GRANTS', 'WALLET_WITHOUT_EVENTS'],
    ],
    [
      'a grant of which more is left',
      () =>
        world.tamper(
          `update grants set left_micros = 1 where wallet_id = '${walletId}' and seq = 2`,
        ),
      ['2 GRANT_SUM'],
    ],
    [
      'a grant that expires later',
      () =>
        world.tamper(
          `update grants set expires_at = now() where wallet_id = '${walletId}' and seq = 2`,
        ),
      ['2 GRANT_SUM'],
    ],
    [
      'a grant that is gone',
      () => world.tamper(`delete from grants where wallet_id = '${walletId}' and seq = 2`),
      ['2 GRANT_SUM'],
    ],
    [
      'a wallet that says more credit is left',
      () =>
        world.tamper(
          `update wallets set grants_micros = grants_micros + 1 where id = '${walletId}'`,
        ),
      ['WALLET_GRANTS'],
    ],
    [
      'events without a wallet',
      () => world.tamper(`delete from wallets where id = '${walletId}'`),
      ['EVENTS_WITHOUT_WALLET'],
    ],
  ])('finds %s and names it', async (_name, change, problems) => {
    await change();
    expect(await problemsOf(walletId)).toEqual(problems);
  });

  test('finds a history that was written anew, by a statement that was closed on the old one', async () => {
    walletId = await closedWallet();
    expect(await problemsOf(walletId)).toEqual([]);
    await world.tamper(`
      do $$
      declare
        e wallet_events;
        head bytea;
      begin
        update wallet_events set actor = 'service:other' where wallet_id = '${walletId}' and seq = 2;
        for e in select * from wallet_events where wallet_id = '${walletId}' order by seq loop
          head := event_hash(head, e);
          update wallet_events set hash = head where wallet_id = e.wallet_id and seq = e.seq;
        end loop;
        update wallets set head_hash = head where id = '${walletId}';
      end $$`);
    expect(await problemsOf(walletId)).toEqual(['5 STATEMENT_HASH']);
  });

  test.each([
    [
      'usage',
      `usage_micros = usage_micros - 1, other_micros = other_micros + 1`,
      ['5 STATEMENT_SUM'],
    ],
    [
      'closing balance',
      `grants_micros = grants_micros + 1, closing_balance_micros = closing_balance_micros + 1`,
      ['5 STATEMENT_SUM'],
    ],
    ['arrears', 'arrears_micros = 1', ['5 STATEMENT_SUM']],
    ['reserved usage', 'accrued_micros = 1', ['5 STATEMENT_SUM']],
    ['currency', `currency = 'KWD'`, ['5 STATEMENT_SUM']],
    ['lines', `lines = '[]'`, ['5 STATEMENT_LINES']],
    ['reserved lines', 'accrued_lines = lines', ['5 STATEMENT_LINES']],
    ['late lines', 'late_lines = lines', ['5 STATEMENT_LINES']],
    ['end', `ends_at = '2026-01-10T00:00:00Z'`, ['5 STATEMENT_TIME']],
    ['beginning', `starts_at = '2026-01-11T00:00:00Z'`, ['5 STATEMENT_TIME']],
    [
      'last event',
      `to_seq = 4, head_hash = (select hash from wallet_events e
         where e.wallet_id = statements.wallet_id and e.seq = 4)`,
      ['4 STATEMENT_SUM', '4 STATEMENT_TIME'],
    ],
  ])('finds a statement of other %s than its events', async (_name, change, problems) => {
    walletId = await closedWallet();
    expect(await problemsOf(walletId)).toEqual([]);
    await world.tamper(`update statements set ${change} where wallet_id = '${walletId}'`);
    expect(await problemsOf(walletId)).toEqual(problems);
  });

  test('finds a statement that is missing, by the one after it', async () => {
    walletId = await closedWallet();
    await world.database.setClock('2026-03-01T02:00:00Z');
    await closeMonths(walletId, '2026-02');
    await world.database.setClock(null);
    expect(await problemsOf(walletId)).toEqual([]);
    await world.tamper(
      `delete from statements where wallet_id = '${walletId}' and period = '2026-01'`,
    );
    expect(await problemsOf(walletId)).toEqual(['5 STATEMENT_SEQUENCE']);
  });

  test('finds nothing in what a deferred wallet reserved and settled', async () => {
    await world.database.setClock('2026-01-10T00:00:00Z');
    walletId = randomUUID();
    await openWallet(world.database.app, {
      walletId,
      actor,
      userId: `user-${walletId}`,
      currency: 'USD',
      timezone: 'America/New_York',
      mode: 'deferred',
    });
    await chargeWallet(world.database.app, {
      walletId,
      actor,
      ...identity('1'),
      amountMicros: 7n,
      overrun: 'arrears',
      occurredAt: null,
      detail: { usage: { type: 'sms' }, units: 2 },
    });
    await world.database.setClock('2026-03-02T00:00:00Z');
    await closeMonths(walletId, '2026-02');
    await world.database.setClock(null);
    expect(await problemsOf(walletId)).toEqual([]);
  });

  const topUpSet = (change: string) => (id: string) =>
    world.tamper(`update top_ups set ${change} where id = '${id}'`);

  test.each([
    [
      'a credit whose top-up is gone',
      (id: string) => world.tamper(`delete from top_ups where id = '${id}'`),
      ['6 EVENT_WITHOUT_TOP_UP'],
    ],
    [
      'a credit whose top-up was not paid',
      topUpSet(`status = 'failed', credited_seq = null`),
      ['6 EVENT_WITHOUT_TOP_UP'],
    ],
    ['a top-up of another amount', topUpSet('amount_micros = 5000001'), ['6 TOP_UP_DIFFERS']],
    [
      'a top-up by another payment',
      topUpSet(`payment_intent_id = payment_intent_id || 'x'`),
      ['6 TOP_UP_DIFFERS'],
    ],
    [
      'a top-up that was not credited where it says',
      topUpSet('credited_seq = 3'),
      ['3 TOP_UP_WITHOUT_EVENT', '6 EVENT_WITHOUT_TOP_UP'],
    ],
    [
      'top-ups made up for credits that were granted',
      () =>
        world.tamper(`
          insert into top_ups (id, wallet_id, attempt_key, currency, amount_micros, amount_minor,
            livemode, status, payment_intent_id, credited_seq)
          select gen_random_uuid(), wallet_id, 'made-up-' || seq, 'USD', balance_delta_micros, 100,
            false, 'succeeded', 'pi_' || wallet_id || seq, seq
          from wallet_events where wallet_id = '${walletId}' and type = 'grant'`),
      ['2 TOP_UP_WITHOUT_EVENT', '4 TOP_UP_WITHOUT_EVENT'],
    ],
  ])('finds %s', async (_name, change, problems) => {
    const topUpId = await topUp(walletId);
    expect(await problemsOf(walletId)).toEqual([]);
    await change(topUpId);
    expect(await problemsOf(walletId)).toEqual(problems);
  });

  test('goes through all wallets and all events, of whatever id, and tells people where', async () => {
    const lost = 'ffffffff-ffff-4fff-bfff-ffffffffffff';
    await world.tamper(`
      insert into wallet_events (wallet_id, seq, type, balance_delta_micros, held_delta_micros,
        arrears_delta_micros, balance_micros, held_micros, arrears_micros, overdraft_limit_micros,
        actor, occurred_at, recorded_at, detail, hash)
      values ('${lost}', 1, 'wallet_opened', 0, 0, 0, 0, 0, 0, 0, 'a:b', now(), now(), '{}', sha256(''))`);
    const { code, out } = await world.ledger(['verify']);
    const [count] = await world.database.app<{ events: bigint; wallets: bigint }[]>`
      select (select count(*) from wallet_events) as events, (select count(*) from wallets) as wallets`;
    expect(code).toBe(1);
    expect(out).toContain(`${count?.events} events of ${count?.wallets} wallets checked`);
    expect(out).toContain(`${lost}  EVENTS_WITHOUT_WALLET  1 events belong to no wallet\n`);
    expect(out).toContain(`${lost} event 1  EVENT_HASH  `);
    const { report: found } = await report('verify');
    expect(withoutTime(await verifiedInParts(null))).toEqual(withoutTime(found));
  });
});

describe('npm run ledger -- rebuild', () => {
  test('finds nothing to do in what the functions wrote', async () => {
    const walletId = await world.newWallet();
    const { code, report: rebuilt } = await report('rebuild', '--wallet', walletId);
    expect(code).toBe(0);
    expect(rebuilt).toMatchObject({ events: 5, wallets: 1, found: 0, repaired: 0 });
  });

  test('writes a drifted wallet as its events say, and only compares with --dry-run', async () => {
    const walletId = await world.newWallet();
    const right = await world.database.app`select * from wallets where id = ${walletId}`;
    await world.tamper(`
      update wallets set balance_micros = 5, arrears_micros = 7, seq = 2, status = 'closed',
        head_hash = sha256('')
      where id = '${walletId}'`);

    const compared = await report('rebuild', '--dry-run', '--wallet', walletId);
    expect(compared.code).toBe(1);
    expect(compared.report.differences).toMatchObject([
      { walletId, problem: 'WALLET_DIFFERS', repaired: false },
    ]);

    const rebuilt = await report('rebuild', '--wallet', walletId);
    expect(rebuilt.code).toBe(0);
    expect(rebuilt.report).toMatchObject({ found: 1, repaired: 1 });
    expect(await world.database.app`select * from wallets where id = ${walletId}`).toEqual(right);
    expect(await problemsOf(walletId)).toEqual([]);
  });

  test('gives a wallet the status that its events say', async () => {
    const walletId = await world.newWallet();
    const detail = { reason: 'stolen card' };
    await changeWalletStatus(world.database.app, { walletId, status: 'frozen', actor, detail });
    await world.tamper(`update wallets set status = 'open' where id = '${walletId}'`);
    const { report: rebuilt } = await report('rebuild', '--wallet', walletId);
    expect(rebuilt.differences).toMatchObject([
      { problem: 'WALLET_DIFFERS', repaired: true, message: expect.stringMatching(/; frozen$/) },
    ]);
    expect(await world.database.app`select status from wallets where id = ${walletId}`).toEqual([
      { status: 'frozen' },
    ]);
  });

  test('leaves alone, and reports, what events do not say clearly', async () => {
    const [broken, gone, lost] = [
      await world.newWallet(),
      await world.newWallet(),
      await world.newWallet(),
    ];
    await world.tamper(`
      update wallet_events set balance_delta_micros = 1 where wallet_id = '${broken}' and seq = 2;
      delete from wallet_events where wallet_id = '${gone}';
      delete from wallets where id = '${lost}'`);
    for (const [walletId, problem] of [
      [broken, 'EVENTS_CONTRADICT'],
      [gone, 'WALLET_WITHOUT_EVENTS'],
      [lost, 'EVENTS_WITHOUT_WALLET'],
    ] as const) {
      const { code, report: rebuilt } = await report('rebuild', '--wallet', walletId);
      expect(code).toBe(1);
      expect(rebuilt.differences).toMatchObject([{ walletId, problem, repaired: false }]);
    }
  });
});
