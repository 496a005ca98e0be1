import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { EnvSource } from '../env.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runSeed } from './db-seed.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database?.close());

function run(source: EnvSource, ...argv: string[]): Promise<Said> {
  const full = { DATABASE_URL: database.ownerUrl, ...source };
  return captured((output) => runSeed(argv, full, output));
}

async function users(): Promise<number> {
  const [row] = await database.owner<{ count: number }[]>`select count(*)::int from users`;
  return row?.count ?? 0;
}

describe('npm run db:seed', () => {
  it.each([
    [{ NODE_ENV: 'production' }, 'NODE_ENV is production'],
    [{ STRIPE_SECRET_KEY: 'rk_live_x' }, 'STRIPE_SECRET_KEY is a live key'],
  ])('makes no public logins where customers are served: %j', async (source, why) => {
    const said = await run(source);
    expect(said).toMatchObject({ code: 1, out: '', err: expect.stringContaining(why) });
    expect(said.err).not.toContain('rk_live_x');
    expect(await users()).toBe(0);
  });

  it('names every login that it makes, in production only when it is told to', async () => {
    const said = await run({ NODE_ENV: 'production' }, '--allow-production');
    expect(said).toMatchObject({ code: 0, err: '' });
    const emails = await database.owner<{ email: string }[]>`select email from users`;
    expect(emails.length).toBe(4);
    for (const { email } of emails) expect(said.out).toContain(email);
  });
});
