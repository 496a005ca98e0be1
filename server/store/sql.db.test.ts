import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTo, createServer, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { asFault } from '../faults.ts';
import { arrayLiteral, connect, type Sql } from './sql.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

describe('values', () => {
  it('carries an int8 beyond 2^53 exactly, both ways', async () => {
    const micros = 2n ** 53n + 1n;
    const [row] =
      await database.app`select ${micros}::int8 as sent, 9007199254740993::int8 as read`;
    expect(row).toEqual({ sent: micros, read: micros });
  });

  it('carries the ends of int8 exactly', async () => {
    const [max, min] = [2n ** 63n - 1n, -(2n ** 63n)];
    const [row] = await database.app`select ${max}::int8 as max, ${min}::int8 as min`;
    expect(row).toEqual({ max, min });
  });

  it('reads timestamptz as the same instant, to the millisecond', async () => {
    const instant = new Date('2026-03-01T12:34:56.789Z');
    const [row] = await database.app`
      select ${instant}::timestamptz as sent, timestamptz '2026-03-01 13:34:56.789+01' as read`;
    expect(row).toEqual({ sent: instant, read: instant });
  });

  it('parses jsonb and sends an object as jsonb', async () => {
    const detail = { rule: 'call', micros: '375000', list: [1, null] };
    const [row] = await database.app`
      select ${database.app.json(detail)}::jsonb as sent,
             ${JSON.stringify(detail)}::text::jsonb as text,
             jsonb_typeof(${database.app.json(detail)}::jsonb) as type`;
    expect(row).toEqual({ sent: detail, text: detail, type: 'object' });
  });

  it('sends a uuid, bytes, a boolean and a null', async () => {
    const id = randomUUID();
    const [row] = await database.app`
      select ${id}::uuid as id, ${Buffer.from([0, 255])}::bytea as bytes, ${true}::bool as flag,
             ${null}::text as nothing`;
    expect(row).toEqual({ id, bytes: Buffer.from([0, 255]), flag: true, nothing: null });
  });
});

describe('arrayLiteral', () => {
  it('keeps every element of a text array as it was', async () => {
    const values = [
      'plain',
      '',
      'a,b',
      '{}',
      '"quoted"',
      'back\\slash',
      'NULL',
      'null',
      ' é\n',
      null,
    ];
    const rows = await database.app<{ value: string | null }[]>`
      select value from unnest(${arrayLiteral(values)}::text[]) as value`;
    expect(rows.map(({ value }) => value)).toEqual(values);
  });

  it('sends bigints, uuids, booleans and no elements at all', async () => {
    const ids = [randomUUID(), randomUUID()];
    const amounts = [-(2n ** 63n), 2n ** 53n + 1n];
    const [row] = await database.app`
      select to_jsonb(${arrayLiteral(ids)}::uuid[]) as ids,
             (select sum(x)::text from unnest(${arrayLiteral(amounts)}::int8[]) as x) as sum,
             ${arrayLiteral([true, false])}::bool[] = array[true, false] as booleans,
             cardinality(${arrayLiteral([])}::uuid[]) as empty`;
    expect(row).toEqual({ ids, sum: '-9214364837600034815', booleans: true, empty: 0 });
  });
});

describe('sessions', () => {
  const roleOf = async (sql: TestDatabase['app']) =>
    (await sql<{ role: string }[]>`select current_user::text as role`)[0]?.role;

  it('have the role of the application when it is asked for, else the user of the URL', async () => {
    expect(await roleOf(database.app)).toBe('wallet_app');
    expect(await roleOf(database.owner)).toBe('postgres');
  });

  it('come back to the role of the application after RESET ROLE', async () => {
    const sql = connect(database.ownerUrl, { role: 'wallet_app', max: 1 });
    await sql`set role none`;
    await sql`reset role`;
    expect(await roleOf(sql)).toBe('wallet_app');
    await sql.end();
  });

  it('have the role of the application with its URL alone', async () => {
    const sql = connect(database.appUrl, { max: 1 });
    expect(await roleOf(sql)).toBe('wallet_app');
    await sql.end();
  });

  it('cancel a statement that runs beyond the limit', async () => {
    const sql = connect(database.ownerUrl, { max: 1, statementTimeoutMs: 50 });
    await expect(sql`select pg_sleep(10)`).rejects.toMatchObject({ code: '57014' });
    await sql.end();
  });
});

describe('the test clock', () => {
  const now = async () => (await database.app<{ now: Date }[]>`select ledger_now() as now`)[0]?.now;

  it('stands still where it is set, and runs again afterwards', async () => {
    const instant = new Date('2026-02-28T23:59:59.999Z');
    await database.setClock(instant.toISOString());
    expect(await now()).toEqual(instant);
    await database.setClock(null);
    expect((await now())?.getTime()).toBeGreaterThan(Date.now() - 60_000);
  });
});

describe('a database that was away', () => {
  it('keeps no query waiting, and is used at once when it is back', async () => {
    const { port, hostname } = new URL(database.ownerUrl);
    const door = createServer((socket) => {
      const inside = connectTo(Number(port), hostname);
      socket.on('error', () => inside.destroy());
      inside.on('error', () => socket.destroy());
      socket.pipe(inside).pipe(socket);
    });
    await once(door.listen(0, '127.0.0.1'), 'listening');
    const url = new URL(database.ownerUrl);
    url.port = String((door.address() as AddressInfo).port);
    door.close();
    await once(door, 'close');

    const sql = connect(url.href, { max: 20 });
    const startedAtMs = performance.now();
    const missed = await Promise.allSettled(Array.from({ length: 40 }, () => sql`select 1`));
    expect(missed.every(({ status }) => status === 'rejected')).toBe(true);
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    await once(door.listen(Number(url.port), '127.0.0.1'), 'listening');

    const backAtMs = performance.now();
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    expect(performance.now() - backAtMs).toBeLessThan(2_000);
    await sql.end({ timeout: 1 });
    door.close();
  });
});

describe('a reply that was cut off', () => {
  /** A client of one connection that has just lost a reply after some of its rows. */
  async function withTornReply(use: (sql: Sql) => Promise<void>): Promise<void> {
    const { port, hostname } = new URL(database.ownerUrl);
    let bytesLeft = 1_000_000;
    const door = createServer((socket) => {
      const inside = connectTo(Number(port), hostname);
      socket.on('error', () => inside.destroy());
      inside.on('error', () => socket.destroy());
      socket.pipe(inside);
      inside.on('data', (reply) => {
        bytesLeft -= reply.length;
        socket.write(reply);
        if (bytesLeft < 0) {
          bytesLeft = Number.POSITIVE_INFINITY;
          socket.end();
          inside.destroy();
        }
      });
    });
    await once(door.listen(0, '127.0.0.1'), 'listening');
    const url = new URL(database.ownerUrl);
    url.port = String((door.address() as AddressInfo).port);
    const sql = connect(url.href, { max: 1 });
    await expect(
      sql`select repeat('x', 10000) as text from generate_series(1, 10000)`,
    ).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
    await use(sql);
    await sql.end({ timeout: 1 });
    door.close();
  }

  it('leaves nothing behind in the next one', async () => {
    await withTornReply(async (sql) => {
      const rows = await sql<{ one: number }[]>`select 1 as one`;
      expect([...rows]).toEqual([{ one: 1 }]);
      expect(rows.length).toBe(1);
    });
  });

  it('leaves nothing behind in the next cursor', async () => {
    await withTornReply(async (sql) => {
      const read: unknown[] = [];
      for await (const rows of sql`select generate_series(1, 3) as n`.cursor(2)) {
        read.push([...rows]);
      }
      expect(read).toEqual([[{ n: 1 }, { n: 2 }], [{ n: 3 }]]);
    });
  });
});

it('answers an empty statement with no rows', async () => {
  expect([...(await database.app.unsafe('-- nothing'))]).toEqual([]);
});

describe('a connection that was reset', () => {
  /** A client of one connection, and what resets that. */
  async function withReset(use: (sql: Sql, reset: () => void) => Promise<void>): Promise<void> {
    const { port, hostname } = new URL(database.ownerUrl);
    let current: Socket | undefined;
    const door = createServer((socket) => {
      current = socket;
      const inside = connectTo(Number(port), hostname);
      socket.on('error', () => inside.destroy());
      socket.on('close', () => inside.destroy());
      inside.on('error', () => socket.destroy());
      socket.pipe(inside).pipe(socket);
    });
    await once(door.listen(0, '127.0.0.1'), 'listening');
    const url = new URL(database.ownerUrl);
    url.port = String((door.address() as AddressInfo).port);
    const sql = connect(url.href, { max: 1 });
    await use(sql, () => current?.resetAndDestroy());
    await sql.end({ timeout: 1 });
    door.close();
  }

  /** The answer to a query of its own, or that its connection failed. */
  async function ask(sql: Sql, number: number): Promise<'answered' | 'failed'> {
    try {
      expect([...(await sql`select ${number}::int as number`)]).toEqual([{ number }]);
      return 'answered';
    } catch (error) {
      expect(asFault(error).code).toBe('DATABASE_UNAVAILABLE');
      return 'failed';
    }
  }

  it('leaves no query behind that its failure called forth, and gives none the answer to another', async () => {
    await withReset(async (sql, reset) => {
      for (let round = 0; round < 10; round += 1) {
        const slow = sql`select pg_sleep(5)`;
        const called = slow.catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'ECONNRESET' });
          return Promise.all([1, 2, 3].map((number) => ask(sql, number)));
        });
        await new Promise((done) => setTimeout(done, 20));
        reset();
        expect(await called).toContain('answered');
      }
      expect(await ask(sql, 4)).toBe('answered');
    });
  });

  it('sends what it was given while nobody heard of it', async () => {
    const opened = vi.spyOn(Socket.prototype, 'connect');
    const sql = connect(database.ownerUrl, { max: 1 });
    expect(await ask(sql, 1)).toBe('answered');
    const [socket] = opened.mock.contexts;
    opened.mockRestore();
    expect.assert(socket instanceof Socket);

    socket.destroy(
      Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104 }),
    );
    await once(socket, 'error');
    const given = ask(sql, 2);
    await once(socket, 'close');
    expect(await Promise.all([ask(sql, 3), given])).toEqual(['answered', 'answered']);
    expect(await ask(sql, 4)).toBe('answered');
    await sql.end({ timeout: 1 });
  });
});

describe('a session that PostgreSQL ended', () => {
  it('fails what it was doing, and no query after it', async () => {
    const sql = connect(database.ownerUrl, { max: 1 });
    await expect(sql`select pg_terminate_backend(pg_backend_pid())`).rejects.toMatchObject({
      code: 'CONNECTION_CLOSED',
    });
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    await sql.end();
  });

  it('fails the next query when no other may begin, and none once one may', async () => {
    const sql = connect(database.ownerUrl, { max: 1 });
    await expect(sql`select pg_terminate_backend(pg_backend_pid())`).rejects.toThrow();
    const beside = new URL(database.ownerUrl);
    beside.pathname = '/postgres';
    const admin = connect(beside.href, { max: 1 });
    const allow = (allowed: boolean) =>
      admin.unsafe(
        `alter database ${database.owner.options.database} allow_connections ${allowed}`,
      );

    await allow(false);
    for (const _ of [1, 2]) {
      await expect(sql`select 1 as one`).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' });
    }
    await allow(true);
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    await Promise.all([sql.end(), admin.end()]);
  });

  it('is not confused with one that cannot begin', async () => {
    const url = new URL(database.ownerUrl);
    url.pathname = '/no_such_database';
    const sql = connect(url.href, { max: 1 });
    await expect(sql`select 1 as one`).rejects.toMatchObject({ code: '3D000' });
    await sql.end();
  });
});
