import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCharging } from '../billing/charging/charging.ts';
import { createGrants } from '../billing/charging/grants.ts';
import { createRateCards } from '../billing/rate-cards/rate-cards.ts';
import { createWallets } from '../billing/wallets/wallets.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runRateCards } from './rate-cards.ts';

let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'rate-cards-'));
});
afterAll(async () => {
  await database?.close();
  await rm(folder, { recursive: true, force: true });
});

function run(...args: string[]): Promise<Said> {
  const source = { DATABASE_URL: database.ownerUrl };
  return captured((output) => runRateCards(args, source, output));
}

async function fileOf(text: string): Promise<string> {
  const path = join(folder, 'prices.csv');
  await writeFile(path, text);
  return path;
}

async function newDraft(): Promise<string> {
  return (await run('draft', defaultRateCard.id)).out.trim();
}

describe('npm run rate-cards', () => {
  it('drafts a card, exports and imports its prices, and publishes it', async () => {
    const draft = await newDraft();
    const { out: csv } = await run('export', draft);
    expect(csv).toBe((await run('export', defaultRateCard.id)).out);
    expect(await run('import', '--draft', draft, await fileOf(csv))).toMatchObject({
      code: 0,
      out: '0 rules added, 0 changed, 0 removed\n',
    });
    const more = await fileOf('type,prefix,price_usd\nsms,44,0.03\n');
    expect(await run('import', '--draft', draft, '--merge', more)).toMatchObject({
      out: '1 rules added, 0 changed, 0 removed\n',
    });
    expect((await run('list')).out).toMatch(/USD draft {2}Default prices {2}6 rules {2}revision 2/);
    expect(await run('publish', draft, '--effective', '2999-01-01T00:00:00Z')).toMatchObject({
      code: 0,
      out: 'version 2\n',
    });
    expect((await run('list')).out).toContain(`${draft}  USD version 2`);
  });

  it('names the bad lines of an import and imports nothing', async () => {
    const draft = await newDraft();
    const bad = await fileOf('type,prefix,price_usd\nsms,44,0.03\nsms,x,1\nsms,45,free\n');
    const { code, err } = await run('import', '--draft', draft, bad);
    expect(code).toBe(1);
    expect(err).toMatch(
      /^line 3: prefix: .*\nline 4: price_usd: .*\nRefused: nothing was imported/,
    );
    expect((await run('list')).out).toMatch(new RegExp(`${draft} .* 5 rules {2}revision 1`));
    expect(await run('discard', draft)).toMatchObject({ code: 0 });
    expect(await run('discard', draft)).toMatchObject({ code: 1 });
  });

  it('says what is missing, and refuses what is not there', async () => {
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining('A command') });
    expect(await run('import', 'x.csv')).toMatchObject({ code: 2 });
    expect(await run('publish', defaultRateCard.id, '--effective', 'soon')).toMatchObject({
      code: 2,
    });
    expect(await run('export', 'nothing')).toMatchObject({ code: 2 });
    const unknown = randomUUID();
    for (const name of ['export', 'draft', 'discard']) {
      expect(await run(name, unknown)).toMatchObject({
        code: 1,
        err: expect.stringContaining('no such card'),
      });
    }
  });
});

describe('npm run rate-cards -- rehearse and rerate', () => {
  const span = ['--from', '2020-01-01T00:00:00Z', '--to', '2100-01-01T00:00:00Z'];

  beforeAll(async () => {
    const sql = database.app;
    const rateCards = createRateCards({ sql, nowMs: Date.now });
    const charging = createCharging({ sql, rateCards, now: () => new Date() });
    const wallet = await createWallets(sql).open({ userId: 'ada' }, 'test:cli');
    const grant = { wallet, amountMicros: 1_000_000n, key: 'k', reason: 'test' };
    await createGrants({ sql }).grant(grant, 'test:cli');
    const usage = { type: 'sms', to: '+44', segments: 5 } as const;
    await charging.charge({ wallet, usage, referenceId: 'r', overrun: 'refuse' }, 'test:cli');
  });

  it('rehearses a draft, and posts the differences to a published card once', async () => {
    const draft = await newDraft();
    await run(
      'import',
      '--draft',
      draft,
      '--merge',
      await fileOf('type,prefix,price_usd\nsms,44,0.015'),
    );
    const rehearsed = await run('rehearse', draft, ...span, '--customers');
    expect(rehearsed.out).toMatch(
      /^ada {2}\S+ {2}1 usages {2}0\.1 → 0\.075 USD {2}\(-0\.025\)\n1 usages of 1 /,
    );
    expect(await run('rerate', draft, ...span, '--reason', 'x')).toMatchObject({ code: 1 });
    await run('publish', draft, '--effective', '2999-02-01T00:00:00Z');
    const preview = await run('rerate', draft, ...span, '--dry-run', '--json');
    expect(JSON.parse(preview.out)).toMatchObject({ beforeMicros: '100000', afterMicros: '75000' });
    const done = await run('rerate', draft, ...span, '--reason', 'too dear');
    expect(done.out).toContain('given back  0.025 USD for 1\n');
    const [, id = ''] = /re-rating (\S+)/.exec(done.err) ?? [];
    const again = await run('rerate', draft, ...span, '--reason', 'too dear', '--id', id);
    expect(again.out).toContain('given back  0 USD for 0\n');
  });

  it('says what is missing', async () => {
    for (const args of [span.slice(0, 2), ['--from', 'June', '--to', 'July'], span.toReversed()]) {
      expect(await run('rehearse', defaultRateCard.id, ...args)).toMatchObject({ code: 2 });
    }
    expect(await run('rerate', defaultRateCard.id, ...span)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--reason is missing'),
    });
  });
});
