import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
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

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runRateCards(
    args,
    { DATABASE_URL: database.ownerUrl },
    {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
    },
  );
  return { code, out, err };
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
    expect(err).toMatch(/^line 3: prefix: .*\nline 4: price: .*\nRefused: nothing was imported/);
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
