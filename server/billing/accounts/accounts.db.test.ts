import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { createLogger } from '../../log.ts';
import type { SignIn } from '../../views/accounts.ts';
import { type Accounts, type AccountsOptions, createAccounts, ensureUser } from './accounts.ts';

const PASSWORD = 'correct horse battery';
const DAY_SECONDS = 86_400;

const wrongCredentials = { ok: false, message: 'The email or the password is wrong.' };
const throttled = { ok: false, retryAfterSeconds: expect.any(Number) };

let database: TestDatabase;
let accounts: Accounts;
let opened: string[] = [];
let people = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  accounts = accountsWith({});
});
afterAll(() => database.close());

function accountsWith(options: Partial<AccountsOptions>): Accounts {
  return createAccounts({
    sql: database.app,
    sessionSecret: 'test-secret-of-at-least-32-characters',
    appUrl: 'http://localhost:3000',
    openWallet: async (userId) => void opened.push(userId),
    logger: createLogger('silent'),
    ...options,
  });
}

/** Somebody whom no other test knows, at an address of their own. */
function somebody() {
  people += 1;
  return { email: `person${people}@example.org`, password: PASSWORD, ip: `192.0.2.${people}` };
}

function accepted(result: SignIn): Extract<SignIn, { ok: true }> {
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result)}`);
  return result;
}

function cookieOf(result: SignIn): string {
  return accepted(result).setCookie.split(';')[0] ?? '';
}

describe('signUp', () => {
  it('makes a user with a wallet and signs it in', async () => {
    opened = [];
    const person = somebody();
    const { user, setCookie } = accepted(await accounts.signUp(person));
    expect(user).toEqual({
      id: expect.stringMatching(/^u_[a-z2-7]{26}$/),
      email: person.email,
      role: 'user',
    });
    expect(opened).toEqual([user.id]);
    expect((await accounts.session(setCookie.split(';')[0] ?? ''))?.user).toEqual(user);
  });

  it('stores the password as argon2id with the recommended work, and no token', async () => {
    const { user, setCookie } = accepted(await accounts.signUp(somebody()));
    const [row] = await database.owner<{ hash: string; dump: string }[]>`
      select password_hash as hash, (select string_agg(s::text, '') from sessions s) as dump
      from users where id = ${user.id}`;
    expect(row?.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(row?.dump).not.toContain(/session=([^;]+)/.exec(setCookie)?.[1] ?? 'session');
  });

  it('refuses an email that is taken, whatever its case or blanks around it', async () => {
    const person = somebody();
    await accounts.signUp(person);
    const email = `  ${person.email.toUpperCase()} `;
    expect(await accounts.signUp({ ...person, email })).toMatchObject({
      ok: false,
      problems: { email: expect.stringContaining('is an account with this email') },
    });
  });

  it('lets one of two sign-ups at once with the same email succeed', async () => {
    const person = somebody();
    const results = await Promise.all([accounts.signUp(person), accounts.signUp(person)]);
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
  });

  it.each(['', 'ann', 'ann@', 'a b@example.org', `${'a'.repeat(250)}@example.org`, 'a\0@b.org'])(
    'refuses what is no email address: %j',
    async (email) => {
      expect(await accounts.signUp({ ...somebody(), email })).toMatchObject({
        ok: false,
        problems: { email: expect.stringMatching(/email address/) },
      });
    },
  );

  it('tells what is wrong with the email and with the password at once', async () => {
    expect(await accounts.signUp({ ...somebody(), email: 'ann', password: 'short' })).toEqual({
      ok: false,
      problems: {
        email: 'This is not an email address.',
        password: 'A password needs at least 8 characters.',
      },
    });
  });

  it('refuses a password that is short, long or the email', async () => {
    const person = somebody();
    for (const password of ['seven77', 'x'.repeat(201), person.email.toUpperCase()]) {
      expect(await accounts.signUp({ ...person, password })).toMatchObject({
        ok: false,
        problems: { password: expect.stringMatching(/password/) },
      });
    }
  });

  it('stands even when the wallet cannot be opened yet', async () => {
    const failing = accountsWith({ openWallet: () => Promise.reject(new Error('not now')) });
    const person = somebody();
    expect(await failing.signUp(person)).toMatchObject({ ok: true });
    expect(await accounts.signIn(person)).toMatchObject({ ok: true });
  });

  it('is throttled by address', async () => {
    const { ip } = somebody();
    for (let i = 0; i < 20; i += 1) {
      const email = `taken${i < 1 ? 0 : 1}@example.net`;
      await accounts.signUp({ email, password: PASSWORD, ip });
    }
    expect(await accounts.signUp({ ...somebody(), ip })).toMatchObject(throttled);
    expect(await accounts.signUp(somebody())).toMatchObject({ ok: true });
  }, 60_000);
});

describe('signIn', () => {
  it('takes the email in any case and gives a new session', async () => {
    const person = somebody();
    const up = await accounts.signUp(person);
    const result = await accounts.signIn({ ...person, email: person.email.toUpperCase() });
    expect(accepted(result).user).toEqual(accepted(up).user);
    expect(cookieOf(result)).not.toBe(cookieOf(up));
  });

  it('answers a wrong password and an unknown email alike', async () => {
    const person = somebody();
    await accounts.signUp(person);
    const wrong = await accounts.signIn({ ...person, password: 'not the password' });
    const unknown = await accounts.signIn(somebody());
    expect(wrong).toEqual(unknown);
    expect(wrong).toMatchObject(wrongCredentials);
  });

  it('names both fields that are empty, which is no attempt', async () => {
    const { ip } = somebody();
    for (let time = 0; time < 12; time += 1) {
      expect(await accounts.signIn({ email: ' ', password: '', ip })).toEqual({
        ok: false,
        problems: { email: 'Enter your email address.', password: 'Enter your password.' },
      });
    }
  });

  it('ends the session that the browser had before', async () => {
    const person = somebody();
    const before = cookieOf(await accounts.signUp(person));
    const elsewhere = cookieOf(await accounts.signIn(person));
    const after = cookieOf(await accounts.signIn({ ...person, cookieHeader: `a=1; ${before}` }));
    expect(await accounts.session(before)).toBeNull();
    expect(await accounts.session(elsewhere)).not.toBeNull();
    expect(await accounts.session(after)).not.toBeNull();
  });

  it('does not end that session when the password is wrong', async () => {
    const person = somebody();
    const cookieHeader = cookieOf(await accounts.signUp(person));
    await accounts.signIn({ ...person, password: 'not the password', cookieHeader });
    expect(await accounts.session(cookieHeader)).not.toBeNull();
  });

  it('is throttled after ten failures for one email, from wherever they come', async () => {
    const person = somebody();
    await accounts.signUp(person);
    // Through two servers, and all at once: none slips through.
    const servers = [accounts, accountsWith({ sql: database.owner })];
    const results = await Promise.all(
      Array.from({ length: 14 }, (_, i) =>
        (servers[i % 2] ?? accounts).signIn({
          ...person,
          ip: `198.51.100.${i}`,
          password: 'wrong one',
        }),
      ),
    );
    const messages = results.map((result) => (result.ok ? 'in' : result.message));
    expect(messages.filter((message) => message === wrongCredentials.message)).toHaveLength(10);
    const right = await accounts.signIn(person);
    expect(right).toMatchObject(throttled);
    expect(right.ok || right.retryAfterSeconds).toBeGreaterThan(800);
    expect(await accounts.signUp(somebody())).toMatchObject({ ok: true });
  });

  it('is open again when the window has passed', async () => {
    const person = somebody();
    await accounts.signUp(person);
    const limits = { attempts: 0, windowSeconds: 900 };
    const strict = accountsWith({
      attemptLimits: { sign_in_email: limits, sign_in_ip: limits, sign_up_ip: limits },
    });
    expect(await strict.signIn(person)).toMatchObject(throttled);
    await database.owner`update sign_in_attempts set attempts = 99`;
    expect(await accounts.signIn(person)).toMatchObject(throttled);
    await database.owner`update sign_in_attempts set window_ends_at = now() - interval '1 s'`;
    expect(await accounts.signIn(person)).toMatchObject({ ok: true });
  });

  it('counts failures only: who knows the password is never locked out by signing in', async () => {
    const person = somebody();
    await accounts.signUp(person);
    for (let i = 0; i < 12; i += 1) {
      expect(await accounts.signIn(person)).toMatchObject({ ok: true });
    }
  });

  it('keeps neither emails nor addresses where attempts are counted', async () => {
    const person = somebody();
    await accounts.signIn(person);
    const [row] = await database.owner<{ dump: string }[]>`
      select string_agg(a::text || encode(key_hash, 'escape'), '') as dump from sign_in_attempts a`;
    expect(row?.dump).not.toContain(person.email);
    expect(row?.dump).not.toContain(person.ip);
  });
});

describe('session', () => {
  it.each([null, '', 'session=', `session=${'A'.repeat(43)}`, 'session=short', 'other=x'])(
    'is nobody for the cookie %s',
    async (cookieHeader) => {
      expect(await accounts.session(cookieHeader)).toBeNull();
    },
  );

  it('ends at sign-out, which clears the cookie', async () => {
    const cookie = cookieOf(await accounts.signUp(somebody()));
    expect(await accounts.signOut(cookie)).toBe(
      'session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax',
    );
    expect(await accounts.session(cookie)).toBeNull();
    expect(await accounts.signOut(null)).toContain('Max-Age=0');
  });

  it('is kept alive by use for 14 days at a time, and 90 days at most', async () => {
    const result = accepted(await accounts.signUp(somebody()));
    const cookie = cookieOf(result);
    expect(result.setCookie).toContain(`Max-Age=${14 * DAY_SECONDS}`);
    expect((await accounts.session(cookie))?.setCookie).toBeNull();

    await age(result.user.id, '10 days');
    const renewed = await accounts.session(cookie);
    expect(maxAge(renewed?.setCookie)).toBeGreaterThan(14 * DAY_SECONDS - 60);

    await database.owner`
      update sessions set created_at = now() - interval '85 days', last_seen_at = now() - interval '1 day'
      where user_id = ${result.user.id}`;
    const last = await accounts.session(cookie);
    expect(maxAge(last?.setCookie)).toBeLessThanOrEqual(5 * DAY_SECONDS);

    await age(result.user.id, '5 days');
    expect(await accounts.session(cookie)).toBeNull();
  });

  it('ends after 14 days without use', async () => {
    const result = accepted(await accounts.signUp(somebody()));
    await age(result.user.id, '14 days');
    expect(await accounts.session(cookieOf(result))).toBeNull();
  });

  it('leaves nothing behind when it has ended', async () => {
    const result = accepted(await accounts.signUp(somebody()));
    await age(result.user.id, '15 days');
    expect((await accounts.prune()).sessions).toBeGreaterThanOrEqual(1);
    const rows = await database.owner`select from sessions where user_id = ${result.user.id}`;
    expect(rows).toHaveLength(0);
  });

  async function age(userId: string, by: string): Promise<void> {
    await database.owner`
      update sessions set created_at = created_at - ${by}::interval,
        last_seen_at = last_seen_at - ${by}::interval, expires_at = expires_at - ${by}::interval
      where user_id = ${userId}`;
  }

  function maxAge(setCookie: string | null | undefined): number {
    return Number(/Max-Age=(\d+)/.exec(setCookie ?? '')?.[1]);
  }
});

describe('changePassword', () => {
  it('ends every session of the user and starts a new one', async () => {
    const person = somebody();
    const first = accepted(await accounts.signUp(person));
    const second = cookieOf(await accounts.signIn(person));
    const changed = await accounts.changePassword({
      userId: first.user.id,
      currentPassword: PASSWORD,
      newPassword: 'another password',
      repeatedPassword: 'another password',
      ip: person.ip,
    });
    expect(await accounts.session(cookieOf(first))).toBeNull();
    expect(await accounts.session(second)).toBeNull();
    expect((await accounts.session(cookieOf(changed)))?.user).toEqual(first.user);
    expect(await accounts.signIn(person)).toMatchObject(wrongCredentials);
    expect(await accounts.signIn({ ...person, password: 'another password' })).toMatchObject({
      ok: true,
    });
  });

  it.each([
    [{ currentPassword: 'wrong one' }, { currentPassword: 'The current password is wrong.' }],
    [{ currentPassword: '' }, { currentPassword: 'Enter your current password.' }],
    [
      { newPassword: 'short', repeatedPassword: 'short' },
      { newPassword: 'A password needs at least 8 characters.' },
    ],
    [
      { repeatedPassword: 'another one' },
      { repeatedPassword: 'This is not the same as the new password.' },
    ],
    [
      { currentPassword: 'wrong one', newPassword: 'short', repeatedPassword: '' },
      {
        currentPassword: expect.any(String),
        newPassword: expect.any(String),
        repeatedPassword: expect.any(String),
      },
    ],
  ])('changes nothing and says everything that is wrong: %j', async (typed, problems) => {
    const person = somebody();
    const { user, ...rest } = accepted(await accounts.signUp(person));
    const change = {
      userId: user.id,
      currentPassword: PASSWORD,
      newPassword: 'another password',
      repeatedPassword: 'another password',
      ip: person.ip,
    };
    expect(await accounts.changePassword({ ...change, ...typed })).toEqual({ ok: false, problems });
    expect(await accounts.session(rest.setCookie.split(';')[0] ?? '')).not.toBeNull();
    expect(await accounts.signIn(person)).toMatchObject({ ok: true });
  });

  it('outruns no sign-in: no session of the old password outlives the change', async () => {
    const person = somebody();
    const { user } = accepted(await accounts.signUp(person));
    const [changed] = await Promise.all([
      accounts.changePassword({
        userId: user.id,
        currentPassword: PASSWORD,
        newPassword: 'another password',
        repeatedPassword: 'another password',
        ip: person.ip,
      }),
      ...Array.from({ length: 6 }, () => accounts.signIn(person)),
    ]);
    expect(changed).toMatchObject({ ok: true });
    const rows = await database.owner`select from sessions where user_id = ${user.id}`;
    expect(rows).toHaveLength(1);
  });
});

describe('over HTTPS', () => {
  it('uses a __Host- cookie that scripts and other sites cannot use', async () => {
    const secure = accountsWith({ appUrl: 'https://wallet.example.com' });
    const result = accepted(await secure.signUp(somebody()));
    expect(result.setCookie).toMatch(
      /^__Host-session=[\w-]{43}; Max-Age=1209600; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
    );
    expect(await secure.session(result.setCookie.replace('__Host-', ''))).toBeNull();
  });
});

describe('ensureUser', () => {
  it('adds a user of a given id and role once', async () => {
    const staff = { id: 'demo', email: 'demo@example.org', role: 'support' as const };
    await ensureUser(database.owner, { ...staff, password: PASSWORD });
    await ensureUser(database.owner, { ...staff, password: 'another password' });
    const result = await accounts.signIn({ ...somebody(), email: staff.email });
    expect(accepted(result).user).toEqual(staff);
  });

  it('is beyond the application, which cannot make anybody support staff', async () => {
    await expect(
      ensureUser(database.app, { ...somebody(), id: 'x', role: 'support' }),
    ).rejects.toThrow(/permission denied/);
    await expect(database.app`update users set role = 'support'`).rejects.toThrow(
      /permission denied/,
    );
    await expect(database.app`delete from users`).rejects.toThrow(/permission denied/);
  });
});
