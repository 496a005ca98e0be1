import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createMonthScenario, type MonthScenario, type TestWallet } from '../dev/month-scenario.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runStatementVerify } from './statement-verify.ts';

let scenario: MonthScenario;
let wallet: TestWallet;
let folder: string;

beforeAll(async () => {
  scenario = await createMonthScenario();
  folder = await mkdtemp(join(tmpdir(), 'statement-'));
  wallet = await scenario.open('2026-08-10T00:00:00Z');
  await scenario.grant('2026-08-11T00:00:00Z', wallet, 10_000_000n);
  await scenario.charge('2026-09-02T00:00:00Z', wallet, 375_000n);
  await scenario.charge('2026-09-03T00:00:00.001Z', wallet, 40_000n, {
    usage: { type: 'sms', to: '+14155550132' },
    units: 2,
    referenceId: '=HYPERLINK("https://evil.example")',
  });
  await scenario.run('2026-11-01T02:00:00Z', '2026-10');
  return async () => {
    await rm(folder, { recursive: true });
    await scenario.db.close();
  };
});

/** The statement of a period as its user downloads it. */
async function download(period: string) {
  const statement = (await scenario.statements.list(wallet.userId)).find(
    (each) => each.period === period,
  );
  expect.assert(statement !== undefined);
  const file = async (name: 'statement.csv' | 'events.csv') => {
    const found = await scenario.statements.download({
      userId: wallet.userId,
      customer: 'ada@example.com',
      number: statement.number,
      file: name,
    });
    expect.assert(found !== null);
    expect(found.fileName).toMatch(/^statement-2026-\d\d-\d{6}(-events)?\.csv$/);
    return new Response(found.body).text();
  };
  return { statement, events: await file('events.csv'), figures: await file('statement.csv') };
}

async function saved(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

function run(...argv: string[]): Promise<Said> {
  return captured((output) => runStatementVerify(argv, output));
}

describe('npm run statement:verify', () => {
  it('proves what a user downloaded, without the database', async () => {
    const { statement, events, figures } = await download('2026-09');
    const eventsPath = await saved('events.csv', events);
    const statementPath = await saved('statement.csv', figures);
    const { code, out } = await run(eventsPath, '--statement', statementPath);
    expect(out).toContain('2 events, 3 to 4: each follows from the one before');
    expect(out).toContain('Opening balance 10.00 USD, moved -0.415 USD, closing balance 9.585 USD');
    expect(out).toContain('Every figure of the statement is what the events come to.');
    expect(code).toBe(0);
    expect(await run(eventsPath, '--hash', statement.headHash.toUpperCase())).toMatchObject({
      code: 0,
      out: expect.stringContaining('Only the hash was given'),
    });
    const both = ['--statement', statementPath, '--hash', statement.headHash, '--json'];
    const json = await run(eventsPath, ...both);
    expect(JSON.parse(json.out)).toMatchObject({
      ok: true,
      events: '2',
      figures: { usageMicros: '-415000', lines: [{ type: 'call' }, { type: 'sms', units: 2 }] },
    });
  });

  it("proves the wallet's first month, and a month in which nothing happened", async () => {
    for (const [period, said] of [
      ['2026-08', '2 events, 1 to 2'],
      ['2026-10', 'nothing happened'],
    ] as const) {
      const { events, figures } = await download(period);
      const eventsPath = await saved('events.csv', events);
      const answer = await run(eventsPath, '--statement', await saved('statement.csv', figures));
      expect(answer).toMatchObject({ code: 0, out: expect.stringContaining(said) });
    }
  });

  it('names the line of a changed amount, and fails', async () => {
    const { statement, events } = await download('2026-09');
    const path = await saved('forged.csv', events.replace(/-375000/, '-75000'));
    const { code, out } = await run(path, '--hash', statement.headHash);
    expect(code).toBe(1);
    expect(out).toBe(
      `Wrong: ${path}, line 2: amount does not say what the rest of the line says.\n`,
    );
  });

  it('does not take the hash of another statement', async () => {
    const { events, figures } = await download('2026-09');
    const { statement: other } = await download('2026-08');
    const eventsPath = await saved('events.csv', events);
    const statementPath = await saved('statement.csv', figures);
    const hash = ['--hash', other.headHash];
    expect(await run(eventsPath, ...hash)).toMatchObject({ code: 1 });
    expect(await run(eventsPath, '--statement', statementPath, ...hash)).toMatchObject({ code: 1 });
  });

  it('says how it is used', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, err: '' });
    const path = await saved('events.csv', 'seq\r\n');
    for (const [argv, said] of [
      [[], 'The file of events is missing'],
      [[path], '--statement or --hash is needed'],
      [[path, 'another.csv'], 'Not understood'],
      [[path, '--hash', 'abc'], '64 hexadecimal digits'],
      [[path, '--wrong'], "Unknown option '--wrong'"],
    ] as const) {
      const { code, err } = await run(...argv);
      expect(err).toContain(said);
      expect(code).toBe(2);
    }
    const missing = await run(join(folder, 'missing.csv'), '--hash', 'ab'.repeat(32));
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('ENOENT') });
  });
});

describe('the files of a statement', () => {
  it('are those of its own user only, and no others', async () => {
    const { statement } = await download('2026-09');
    const mine = {
      userId: wallet.userId,
      customer: 'ada@example.com',
      number: statement.number,
      file: 'events.csv',
    };
    for (const other of [
      { userId: 'somebody-else' },
      { file: 'events.xlsx' },
      { number: '2026-09-999999' },
    ]) {
      expect(await scenario.statements.download({ ...mine, ...other })).toBeNull();
    }
  });

  it('hold every event of the period and none besides, however many', async () => {
    const busy = await scenario.open('2026-08-10T00:00:00Z');
    await scenario.db.setClock('2026-09-10T00:00:00Z');
    await scenario.db.app`
      select count(charge_wallet(${busy.id}, gen_random_uuid(), sha256('charge'), n, 'arrears', null,
        'test:month', '{"usage":{"type":"email"},"units":1}'))
      from generate_series(1, 1200) n`;
    await scenario.run('2026-11-02T02:00:00Z', '2026-09');
    const [statement] = await scenario.statements.list(busy.userId);
    expect.assert(statement !== undefined);
    const get = (file: string) =>
      scenario.statements.download({
        userId: busy.userId,
        customer: 'ada@example.com',
        number: statement.number,
        file,
      });
    const events = await get('events.csv');
    const figures = await get('statement.csv');
    expect.assert(events !== null && figures !== null);
    const eventsPath = await saved('busy.csv', await new Response(events.body).text());
    const statementPath = await saved('busy-s.csv', await new Response(figures.body).text());
    const answer = await run(eventsPath, '--statement', statementPath);
    expect(answer.out).toContain('1200 events, 2 to 1201');
    expect(answer.code).toBe(0);
  });
});
