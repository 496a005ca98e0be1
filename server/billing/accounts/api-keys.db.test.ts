import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { createLogger } from '../../log.ts';
import { type ApiKeys, createApiKeys, hasScope, type Scope } from './api-keys.ts';

let database: TestDatabase;
let keys: ApiKeys;

beforeAll(async () => {
  database = await createTestDatabase();
  keys = createApiKeys({ sql: database.app, logger: createLogger('silent'), nowMs: () => 0 });
});
afterAll(() => database.close());

function create(name: string, scopes: Scope[] = ['usage:charge']) {
  return keys.create({ name, scopes, createdBy: 'test:keys' });
}

describe('API keys', () => {
  it('authenticate the service they were made for, with its scopes', async () => {
    const { id, secret } = await create('dialler', ['usage:charge', 'holds:write']);
    expect(secret).toMatch(/^sk_[0-9A-Za-z]{43}$/);
    expect(await keys.authenticate(secret)).toEqual({
      id,
      name: 'dialler',
      scopes: ['usage:charge', 'holds:write'],
      limiter: null,
    });
  });

  it.each(['', 'sk_', `sk_${'a'.repeat(43)}`, 'x'.repeat(10_000), 'sk_\0'])(
    'authenticate nobody by a secret that was never issued',
    async (secret) => {
      expect(await keys.authenticate(secret)).toBeNull();
    },
  );

  it('are stored without their secret', async () => {
    const { id, secret } = await create('stored');
    const [row] = await database.owner<{ dump: string }[]>`
      select k::text as dump from api_keys k where id = ${id}`;
    expect(row?.dump).not.toContain(secret.slice(8));
    expect(JSON.stringify(await keys.list())).not.toContain(secret.slice(8));
  });

  it('end at once when revoked, on every server, and for good', async () => {
    const { id, secret } = await create('leaked');
    const elsewhere = createApiKeys({ sql: database.owner, logger: createLogger('silent') });
    expect(await elsewhere.authenticate(secret)).not.toBeNull();
    const revoked = await keys.revoke(id);
    expect(await elsewhere.authenticate(secret)).toBeNull();
    expect((await keys.revoke(id))?.revokedAt).toEqual(revoked?.revokedAt);
    expect(await keys.revoke('key_unknown')).toBeNull();
  });

  it('may be two at once under one name, while rotating', async () => {
    const [first, second] = [await create('rotating'), await create('rotating')];
    expect(await keys.authenticate(first.secret)).not.toBeNull();
    expect(await keys.authenticate(second.secret)).not.toBeNull();
  });

  it('have one count of their calls in a process, by the limit they were made with', async () => {
    const rateLimit = { perSecond: 1, burst: 2 };
    const { id, secret } = await keys.create({
      name: 'limited',
      scopes: ['usage:charge'],
      createdBy: 'test:keys',
      rateLimit,
    });
    const waits: (number | undefined)[] = [];
    for (let call = 0; call < 3; call += 1) {
      waits.push((await keys.authenticate(secret))?.limiter?.take(1));
    }
    expect(waits.slice(0, 2)).toEqual([0, 0]);
    expect(waits[2]).toBeGreaterThan(0);
    expect((await keys.list()).find((key) => key.id === id)).toMatchObject({
      rateLimitPerSecond: 1,
      rateLimitBurst: 2,
    });
  });

  it('remember when they were last used', async () => {
    const { id, secret } = await create('used');
    await keys.authenticate(secret);
    await expect
      .poll(async () => (await keys.list()).find((key) => key.id === id)?.lastUsedAt)
      .toBeInstanceOf(Date);
  });

  it('cannot be given other scopes, nor be deleted, by the application', async () => {
    await expect(database.app`update api_keys set scopes = '{all}'`).rejects.toThrow(
      /permission denied/,
    );
    await expect(database.app`delete from api_keys`).rejects.toThrow(/permission denied/);
  });
});

describe('hasScope', () => {
  it('is true for a scope that is there, and for every one under all', () => {
    expect(hasScope({ scopes: ['usage:charge'] }, 'usage:charge')).toBe(true);
    expect(hasScope({ scopes: ['usage:charge'] }, 'usage:refund')).toBe(false);
    expect(hasScope({ scopes: ['all'] }, 'billing:read')).toBe(true);
    expect(hasScope({ scopes: [] }, 'all')).toBe(false);
  });
});
