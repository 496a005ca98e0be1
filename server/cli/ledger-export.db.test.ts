import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chainStart, eventHash } from '../ledger/hash.ts';
import { createLedgerWorld, type LedgerWorld } from './ledger.fixtures.ts';

let world: LedgerWorld;
beforeAll(async () => {
  world = await createLedgerWorld();
});
afterAll(() => world?.database.close());

describe('npm run ledger -- export', () => {
  test('jsonl holds all that is needed to verify the chain without the database', async () => {
    const walletId = await world.newWallet();
    const { code, out } = await world.ledger(['export', '--format', 'jsonl', '--wallet', walletId]);
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
    const [wallet] = await world.database.app<{ head: Buffer }[]>`
      select head_hash as head from wallets where id = ${walletId}`;
    expect(wallet?.head).toEqual(Buffer.from(head));
  });

  test('csv holds the same, and quotes what it must', async () => {
    const walletId = await world.newWallet();
    const jsonl = await world.ledger(['export', '--format', 'jsonl', '--wallet', walletId]);
    const csv = await world.ledger(['export', '--format', 'csv', '--wallet', walletId]);
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
    const [dollars, yen] = [await world.newWallet('USD'), await world.newWallet('JPY')];
    const { code, out } = await world.ledger(['export', '--format', 'hledger']);
    expect(code).toBe(0);
    const transactions = out.split('\n\n').slice(1, -1);
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

  test('hledger finds each account and currency declared, as its strict checks demand', async () => {
    const walletId = await world.newWallet('JPY');
    const { out } = await world.ledger(['export', '--format', 'hledger', '--wallet', walletId]);
    expect(out.split('\n\n').at(-1)).toBe(
      `account assets:receivable
account expenses:promotions
account income:usage
account liabilities:wallets
commodity 1.000000 JPY
`,
    );
  });

  test('needs a format that it knows', async () => {
    for (const args of [['export'], ['export', '--format', 'xls']]) {
      const { code, out, err } = await world.ledger(args);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain('export needs --format hledger, csv or jsonl.');
    }
  });
});

describe('npm run ledger -- trial-balance', () => {
  const header =
    'Debits are positive, credits (liabilities and income) negative, as in the hledger export.\n';

  test('has the signs of the hledger export, sums to zero and agrees with the wallets; a drifted wallet is a difference', async () => {
    const fresh = await createLedgerWorld();
    const { ledger, newWallet, tamper } = fresh;
    try {
      expect(await ledger(['trial-balance'])).toEqual({
        code: 0,
        out: `${header}Every currency sums to zero.\n`,
        err: '',
      });
      const walletId = await newWallet();
      expect(
        (await ledger(['trial-balance'])).out
          .slice(header.length)
          .split('\n')
          .map((line) => line.split(/ +/)),
      ).toEqual([
        ['USD', 'assets:receivable', '0.00'],
        ['USD', 'expenses:promotions', '3.00'],
        ['USD', 'income:usage', '-1.375001'],
        ['USD', 'liabilities:wallets', '-1.624999'],
        ['Every', 'currency', 'sums', 'to', 'zero.'],
        [''],
      ]);
      expect(JSON.parse((await ledger(['trial-balance', '--json'])).out)).toEqual({
        accounts: [
          { currency: 'USD', account: 'assets:receivable', amountMicros: '0' },
          { currency: 'USD', account: 'expenses:promotions', amountMicros: '3000000' },
          { currency: 'USD', account: 'income:usage', amountMicros: '-1375001' },
          { currency: 'USD', account: 'liabilities:wallets', amountMicros: '-1624999' },
        ],
        problems: [],
      });
      const { out: journal } = await ledger(['export', '--format', 'hledger']);
      expect(journal).toMatch(/ expenses:promotions +1\.00 USD\n/);
      expect(journal).toMatch(/ income:usage +-1\.375001 USD\n/);
      await tamper(`update wallets set balance_micros = 5 where id = '${walletId}'`);
      const { code, out } = await ledger(['trial-balance']);
      expect(code).toBe(1);
      expect(out).toContain(
        'Wrong: USD liabilities:wallets is -1624999 micros by the journal, -5 by the wallets\n',
      );
    } finally {
      await fresh.database.close();
    }
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
