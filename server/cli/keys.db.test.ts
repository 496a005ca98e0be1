import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { EnvSource } from '../env.ts';
import { createLogger } from '../log.ts';
import { connect } from '../store/sql.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runKeys } from './keys.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

function keys(
  args: string[],
  source: EnvSource = { DATABASE_URL: database.ownerUrl },
): Promise<Said> {
  return captured((output) => runKeys(args, source, output));
}

describe('npm run keys', () => {
  it('creates a key whose secret works, lists it without the secret, revokes it', async () => {
    const created = await keys(['create', '--name', 'dialler', '--scopes', 'usage:charge, all']);
    expect(created.code).toBe(0);
    const secret = created.out.trim();
    const service = createApiKeys({ sql: database.app, logger: createLogger('silent') });
    const caller = await service.authenticate(secret);
    expect(caller).toMatchObject({ name: 'dialler', scopes: ['usage:charge', 'all'] });
    const id = caller?.id ?? '';

    const listed = await keys(['list']);
    expect(listed.out).toMatch(new RegExp(`${id}  sk_\\w{4}…  dialler  usage:charge,all .*live`));
    expect(listed.out).not.toContain(secret);

    expect(await keys(['revoke', id])).toMatchObject({
      code: 0,
      out: `Revoked ${id} (dialler).\n`,
    });
    expect(await service.authenticate(secret)).toBeNull();
    expect((await keys(['list'])).out).toContain('revoked 2');
    const again = await keys(['revoke', id]);
    expect(again).toMatchObject({
      code: 0,
      out: expect.stringMatching(/ was revoked before, at 2/),
    });
  });

  it('gives a key a rate limit, and shows it', async () => {
    const create = ['create', '--scopes', 'all', '--rate-limit', '50'];
    await keys([...create, '--name', 'steady']);
    await keys([...create, '--name', 'bursty', '--burst', '500']);
    await keys(['create', '--scopes', 'all', '--name', 'free']);
    const { out } = await keys(['list']);
    expect(out).toMatch(/ {2}steady {2}all {2}50\/s, burst 50 {2}never used/);
    expect(out).toMatch(/ {2}bursty {2}all {2}50\/s, burst 500 {2}never used/);
    expect(out).toMatch(/ {2}free {2}all {2}no limit {2}never used/);
  });

  it('explains itself', async () => {
    const { code, out } = await keys(['--help'], {});
    expect(code).toBe(0);
    expect(out).toContain('create --name NAME --scopes a,b');
    expect(out).toContain('usage:refund');
  });

  it.each([
    [[], 'A command is missing.'],
    [['destroy'], 'Not understood: destroy'],
    [['create', '--scopes', 'all'], '--name needs'],
    [['create', '--name', 'x'], '--scopes needs at least one'],
    [
      ['create', '--name', 'x', '--scopes', 'all,usage:all,root'],
      'Unknown scopes: usage:all, root',
    ],
    [['create', '--name', 'x', '--scope', 'all'], "Unknown option '--scope'"],
    [['list', '--name', 'x'], 'belong to create'],
    [['list', '--rate-limit', '5'], 'belong to create'],
    [['create', '--name', 'x', '--scopes', 'all', '--burst', '5'], '--burst goes with'],
    ...['0', '-1', '1.5', '1e3', '1000001', '', 'many'].map((rate): [string[], string] => [
      ['create', '--name', 'x', '--scopes', 'all', `--rate-limit=${rate}`],
      '--rate-limit needs a whole number from 1 to 1000000.',
    ]),
    [['revoke'], 'revoke needs the ID'],
  ])('names what is wrong with %j and does nothing', async (args, message) => {
    const { code, out, err } = await keys(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err.trimEnd().split('\n').at(-1)).toContain(message);
  });

  it('fails for an unknown key', async () => {
    expect(await keys(['revoke', 'key_unknown'])).toMatchObject({
      code: 1,
      err: 'There is no key key_unknown.\n',
    });
  });

  it('names a missing or malformed DATABASE_URL without its value', async () => {
    expect((await keys(['list'], {})).err).toContain('DATABASE_URL is missing');
    const { code, err } = await keys(['list'], { DATABASE_URL: 'mysql://me:hunter2@db' });
    expect(code).toBe(1);
    expect(err).toContain('DATABASE_URL must be a postgres:// URL');
    expect(err).not.toContain('hunter2');
  });

  it('says that the database is down, without its password', async () => {
    const { code, err } = await keys(['list'], {
      DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/x',
    });
    expect(code).toBe(1);
    expect(err).toBe('The database of DATABASE_URL does not answer. Is it running?\n');
  });

  it('says what to do where the schema is missing', async () => {
    const url = new URL(database.ownerUrl);
    url.pathname = '/postgres';
    const { code, err } = await keys(['list'], { DATABASE_URL: url.href });
    expect(code).toBe(1);
    expect(err).toContain('npm run db:migrate');
  });

  it('says that the database refuses a login', async () => {
    const url = new URL(database.ownerUrl);
    url.password = 'wrong';
    const sql = connect(url.href, { max: 1 });
    const refused = await sql`select 1`.then(
      () => false,
      () => true,
    );
    await sql.end();
    expect(refused).toBe(true);
    const { err } = await keys(['list'], { DATABASE_URL: url.href });
    expect(err).toContain('refuses this login');
  });
});
