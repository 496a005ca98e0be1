import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { EnvSource } from '../env.ts';
import { chainStart, eventHash } from '../ledger/hash.ts';
import { ledgerKey, requestHash } from '../ledger/key.ts';
import { chargeWallet, grantCredit } from '../store/charges.ts';
import { openWallet } from '../store/wallets.ts';
import { runLedger } from './ledger.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

async function ledger(
  args: string[],
  source: EnvSource = { DATABASE_URL: database.appUrl, DATABASE_OWNER_URL: database.ownerUrl },
) {
  let [out, err] = ['', ''];
  const code = await runLedger(args, source, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

const actor = 'service:test';
const identity = (reference: string) => ({
  key: ledgerKey('test', reference),
  requestHash: requestHash({ reference }),
});

/** A wallet with five events: opened, granted, charged into arrears, granted, arrears repaid. */
async function newWallet(currency: 'USD' | 'JPY' = 'USD'): Promise<string> {
  const walletId = randomUUID();
  const common = { walletId, actor };
  await openWallet(database.app, {
    ...common,
    userId: `user-${walletId}`,
    currency,
    timezone: 'UTC',
    mode: 'live',
  });
  const detail = { note: 'a "quoted", näme\nwith lines', units: 1 };
  await grantCredit(database.app, {
    ...common,
    ...identity('1'),
    amountMicros: 1_000_000n,
    detail,
  });
  await chargeWallet(database.app, {
    ...common,
    ...identity('2'),
    amountMicros: 1_375_001n,
    overrun: 'arrears',
    occurredAt: new Date('2026-01-31T23:59:59.999Z'),
    detail,
  });
  await grantCredit(database.app, {
    ...common,
    ...identity('3'),
    amountMicros: 2_000_000n,
    detail,
  });
  return walletId;
}

/** Changes the ledger as somebody could who owns the machine: with all guards switched off. */
async function tamper(statement: string): Promise<void> {
  await database.owner.unsafe(`set local session_replication_role = replica; ${statement}`);
}

interface Report {
  events: number;
  wallets: number;
  found: number;
  repaired?: number;
  differences: { walletId: string; seq?: string; problem: string; repaired?: boolean }[];
}

async function report(...args: string[]): Promise<{ code: number; report: Report }> {
  const { code, out, err } = await ledger([...args, '--json']);
  expect(err).toBe('');
  return { code, report: JSON.parse(out) as Report };
}

async function problemsOf(walletId: string): Promise<string[]> {
  const { code, report: found } = await report('verify', '--wallet', walletId);
  expect(code).toBe(found.found === 0 ? 0 : 1);
  expect(found.differences.every((difference) => difference.walletId === walletId)).toBe(true);
  return found.differences.map(({ seq, problem }) => (seq ? `${seq} ${problem}` : problem)).sort();
}

describe('npm run ledger -- verify', () => {
  let walletId: string;
  beforeEach(async () => {
    walletId = await newWallet();
  });

  test('finds nothing in what the functions wrote, and says how much it checked', async () => {
    expect(await ledger(['verify', '--wallet', walletId])).toEqual({
      code: 0,
      out: expect.stringMatching(
        /^5 events of 1 wallets checked in \d+\.\d s: 0 differences found\n$/,
      ),
      err: '',
    });
  });

  const event = (seq: number, change: string) => () =>
    tamper(`update wallet_events set ${change} where wallet_id = '${walletId}' and seq = ${seq}`);

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
      () => tamper(`delete from wallet_events where wallet_id = '${walletId}' and seq = 5`),
      ['WALLET_HASH', 'WALLET_SEQUENCE', 'WALLET_SUM'],
    ],
    [
      'a deleted event in the middle',
      () => tamper(`delete from wallet_events where wallet_id = '${walletId}' and seq = 3`),
      ['4 EVENT_HASH', '4 EVENT_SEQUENCE', '4 EVENT_TOTAL', 'WALLET_SUM'],
    ],
    [
      'a drifted wallet',
      () => tamper(`update wallets set balance_micros = 5 where id = '${walletId}'`),
      ['WALLET_SUM'],
    ],
    [
      'a wallet of another currency',
      () => tamper(`update wallets set currency = 'KWD' where id = '${walletId}'`),
      ['WALLET_CURRENCY'],
    ],
    [
      'a wallet without events',
      () => tamper(`delete from wallet_events where wallet_id = '${walletId}'`),
      ['WALLET_WITHOUT_EVENTS'],
    ],
    [
      'events without a wallet',
      () => tamper(`delete from wallets where id = '${walletId}'`),
      ['EVENTS_WITHOUT_WALLET'],
    ],
  ])('finds %s and names it', async (_name, change, problems) => {
    await change();
    expect(await problemsOf(walletId)).toEqual(problems);
  });

  test('finds a history that was written anew, by a statement that was closed on the old one', async () => {
    await database.owner`
      insert into statements (
        wallet_id, period, number, starts_at, ends_at, currency, opening_balance_micros,
        closing_balance_micros, top_ups_micros, grants_micros, usage_micros, fees_micros,
        refunds_micros, other_micros, held_micros, arrears_micros, lines, accrued_lines,
        accrued_micros, from_seq, to_seq, head_hash, closed_at
      )
      select wallet_id, '2026-01', ${`n-${walletId}`}, '2026-01-01', '2026-02-01', 'USD', 0,
        balance_micros, 0, balance_micros, 0, 0, 0, 0, held_micros, arrears_micros, '[]', '[]',
        0, 1, seq, hash, '2026-02-01'
      from wallet_events where wallet_id = ${walletId} and seq = 2`;
    expect(await problemsOf(walletId)).toEqual([]);
    await tamper(`
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
    expect(await problemsOf(walletId)).toEqual(['2 STATEMENT_HASH']);
  });

  test('goes through all wallets and all events, of whatever id, and tells people where', async () => {
    const lost = 'ffffffff-ffff-4fff-bfff-ffffffffffff';
    await tamper(`
      insert into wallet_events (wallet_id, seq, type, balance_delta_micros, held_delta_micros,
        arrears_delta_micros, balance_micros, held_micros, arrears_micros, overdraft_limit_micros,
        actor, occurred_at, recorded_at, detail, hash)
      values ('${lost}', 1, 'wallet_opened', 0, 0, 0, 0, 0, 0, 0, 'a:b', now(), now(), '{}', sha256(''))`);
    const { code, out } = await ledger(['verify']);
    const [count] = await database.app<{ events: bigint; wallets: bigint }[]>`
      select (select count(*) from wallet_events) as events, (select count(*) from wallets) as wallets`;
    expect(code).toBe(1);
    expect(out).toContain(`${count?.events} events of ${count?.wallets} wallets checked`);
    expect(out).toContain(`${lost}  EVENTS_WITHOUT_WALLET  1 events belong to no wallet\n`);
    expect(out).toContain(`${lost} event 1  EVENT_HASH  `);
  });
});

describe('npm run ledger -- rebuild', () => {
  test('finds nothing to do in what the functions wrote', async () => {
    const walletId = await newWallet();
    const { code, report: rebuilt } = await report('rebuild', '--wallet', walletId);
    expect(code).toBe(0);
    expect(rebuilt).toMatchObject({ events: 5, wallets: 1, found: 0, repaired: 0 });
  });

  test('writes a drifted wallet as its events say, and only compares with --dry-run', async () => {
    const walletId = await newWallet();
    const right = await database.app`select * from wallets where id = ${walletId}`;
    await tamper(`
      update wallets set balance_micros = 5, arrears_micros = 7, seq = 2, head_hash = sha256('')
      where id = '${walletId}'`);

    const compared = await report('rebuild', '--dry-run', '--wallet', walletId);
    expect(compared.code).toBe(1);
    expect(compared.report.differences).toMatchObject([
      { walletId, problem: 'WALLET_DIFFERS', repaired: false },
    ]);

    const rebuilt = await report('rebuild', '--wallet', walletId);
    expect(rebuilt.code).toBe(0);
    expect(rebuilt.report).toMatchObject({ found: 1, repaired: 1 });
    expect(await database.app`select * from wallets where id = ${walletId}`).toEqual(right);
    expect(await problemsOf(walletId)).toEqual([]);
  });

  test('leaves alone, and reports, what events do not say clearly', async () => {
    const [broken, gone, lost] = [await newWallet(), await newWallet(), await newWallet()];
    await tamper(`
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

describe('npm run ledger -- export', () => {
  test('jsonl holds all that is needed to verify the chain without the database', async () => {
    const walletId = await newWallet();
    const { code, out } = await ledger(['export', '--format', 'jsonl', '--wallet', walletId]);
    expect(code).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    let head: Uint8Array = chainStart;
    for (const line of lines) {
      const event = JSON.parse(line) as Record<string, string | null>;
      const micros = (name: string) => BigInt(event[name] ?? 'missing');
      const text = (name: string) => event[name] ?? 'missing';
      head = eventHash(head, {
        walletId: text('walletId'),
        seq: micros('seq'),
        type: text('type'),
        balanceDeltaMicros: micros('balanceDeltaMicros'),
        heldDeltaMicros: micros('heldDeltaMicros'),
        arrearsDeltaMicros: micros('arrearsDeltaMicros'),
        balanceMicros: micros('balanceMicros'),
        heldMicros: micros('heldMicros'),
        arrearsMicros: micros('arrearsMicros'),
        overdraftLimitMicros: micros('overdraftLimitMicros'),
        key: event.key ?? null,
        requestHash: event.requestHash ?? null,
        actor: text('actor'),
        occurredAtMicroseconds: micros('occurredAtMicroseconds'),
        recordedAtMicroseconds: micros('recordedAtMicroseconds'),
        detailText: text('detailText'),
      });
      expect(event.hash).toBe(Buffer.from(head).toString('hex'));
    }
    const [wallet] = await database.app<{ head: Buffer }[]>`
      select head_hash as head from wallets where id = ${walletId}`;
    expect(wallet?.head).toEqual(Buffer.from(head));
  });

  test('csv holds the same, and quotes what it must', async () => {
    const walletId = await newWallet();
    const jsonl = await ledger(['export', '--format', 'jsonl', '--wallet', walletId]);
    const csv = await ledger(['export', '--format', 'csv', '--wallet', walletId]);
    const [header = [], ...records] = parseCsv(csv.out);
    const events = jsonl.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(records).toHaveLength(5);
    expect(
      records.map((record) =>
        Object.fromEntries(header.map((name, i) => [name, record[i] || null])),
      ),
    ).toEqual(events);
  });

  test('hledger gets one balanced transaction an event that moves money, in each currency', async () => {
    const [dollars, yen] = [await newWallet('USD'), await newWallet('JPY')];
    const { code, out } = await ledger(['export', '--format', 'hledger']);
    expect(code).toBe(0);
    const transactions = out.split('\n\n').slice(1);
    for (const transaction of transactions) {
      const postings = [...transaction.matchAll(/^ {4}[a-z_:]+ {2,}(-?)(\d+)\.?(\d*) [A-Z]{3}$/gm)];
      expect(postings).toHaveLength(transaction.trimEnd().split('\n').length - 1);
      expect(postings.length).toBeGreaterThan(1);
      const sum = postings.reduce(
        (total, [, sign, whole, decimals = '']) =>
          total + BigInt(`${sign}${whole}${decimals.padEnd(6, '0')}`),
        0n,
      );
      expect(sum).toBe(0n);
    }
    const ofWallet = (walletId: string) => transactions.filter((text) => text.includes(walletId));
    expect(ofWallet(dollars)).toHaveLength(4);
    expect(ofWallet(yen)).toHaveLength(4);
    expect(ofWallet(dollars)[1]).toContain('    liabilities:wallets           1.00 USD');
    expect(ofWallet(dollars)[1]).toContain('    income:usage                  -1.375001 USD');
    expect(ofWallet(dollars)[1]).toContain('    assets:receivable             0.375001 USD');
    expect(ofWallet(yen)[1]).toContain('    income:usage                  -1.375001 JPY');
  });

  test('needs a format that it knows', async () => {
    for (const args of [['export'], ['export', '--format', 'xls']]) {
      const { code, out, err } = await ledger(args);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain('export needs --format hledger, csv or jsonl.');
    }
  });
});

describe('npm run ledger -- trial-balance', () => {
  test('sums to zero and agrees with the wallets; a drifted wallet is a difference', async () => {
    const fresh = await createTestDatabase();
    const main = database;
    database = fresh;
    try {
      expect(await ledger(['trial-balance'])).toEqual({
        code: 0,
        out: 'Every currency sums to zero.\n',
        err: '',
      });
      const walletId = await newWallet();
      expect(
        (await ledger(['trial-balance'])).out.split('\n').map((line) => line.split(/ +/)),
      ).toEqual([
        ['USD', 'assets:receivable', '0.00'],
        ['USD', 'expenses:promotions', '-3.00'],
        ['USD', 'income:usage', '1.375001'],
        ['USD', 'liabilities:wallets', '1.624999'],
        ['Every', 'currency', 'sums', 'to', 'zero.'],
        [''],
      ]);
      await tamper(`update wallets set balance_micros = 5 where id = '${walletId}'`);
      const { code, out } = await ledger(['trial-balance']);
      expect(code).toBe(1);
      expect(out).toContain(
        'Wrong: USD liabilities:wallets is 1624999 micros by the journal, 5 by the wallets\n',
      );
    } finally {
      database = main;
      await fresh.close();
    }
  });
});

describe('npm run ledger', () => {
  test('explains itself', async () => {
    const { code, out } = await ledger(['--help']);
    expect(code).toBe(0);
    expect(out).toContain('npm run ledger -- verify [--wallet ID] [--json]');
  });

  test.each([
    [[], 'A command is missing.'],
    [['audit'], 'Not understood: audit'],
    [['verify', 'all'], 'Not understood: verify all'],
    [['verify', '--fast'], "Unknown option '--fast'"],
    [['verify', '--dry-run'], '--dry-run does not belong to verify.'],
    [['verify', '--wallet', '12'], '--wallet needs the id of a wallet, a uuid.'],
  ])('refuses %j as misuse', async (args, message) => {
    const { code, out, err } = await ledger(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
  });

  test('names a wallet that it does not find', async () => {
    const walletId = randomUUID();
    for (const args of [['verify'], ['rebuild'], ['export', '--format', 'csv']]) {
      expect(await ledger([...args, '--wallet', walletId])).toEqual({
        code: 1,
        out: '',
        err: `There is no wallet ${walletId}.\n`,
      });
    }
  });

  test('names the variable that is missing', async () => {
    const { code, err } = await ledger(['verify'], {});
    expect(code).toBe(1);
    expect(err).toContain('DATABASE_URL is missing');
  });

  test('says that the database does not answer, without its address', async () => {
    const { code, out, err } = await ledger(['verify'], {
      DATABASE_URL: 'postgres://user:secret@127.0.0.1:1/none',
    });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('does not answer');
    expect(err).not.toMatch(/secret|127/);
  });
});

/** Records of RFC 4180. */
function parseCsv(text: string): string[][] {
  const records: string[][] = [[]];
  for (const [, quoted, plain = '', end] of text.matchAll(
    /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g,
  )) {
    records.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === '\r\n') records.push([]);
  }
  return records.slice(0, -1);
}
