import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureUser } from '../billing/accounts/accounts.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runSupport } from './support.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  const password = 'a long password';
  await ensureUser(database.owner, { id: 'u', email: 'Ada@example.com', role: 'user', password });
});

afterAll(() => database?.close());

function run(...argv: string[]): Promise<Said> {
  const source = { DATABASE_URL: database.ownerUrl };
  return captured((output) => runSupport(argv, source, output));
}

async function role(): Promise<unknown> {
  const [user] = await database.owner<{ role: string }[]>`select role from users where id = 'u'`;
  return user?.role;
}

describe('npm run support', () => {
  it('gives the role to a user who has signed up, and takes it back', async () => {
    expect(await run('add', 'ada@example.com')).toMatchObject({ code: 0 });
    expect(await role()).toBe('support');
    expect(await run('remove', 'ada@example.com')).toMatchObject({ code: 0 });
    expect(await role()).toBe('user');
  });

  it('says when nobody has this email', async () => {
    expect(await run('add', 'bob@example.com')).toEqual({
      code: 1,
      out: '',
      err: 'Nobody has signed up with this email.\n',
    });
  });

  it('explains itself when it is misused', async () => {
    expect(await run('promote', 'ada@example.com')).toMatchObject({
      code: 2,
      err: expect.stringContaining('npm run support -- add EMAIL'),
    });
  });
});
