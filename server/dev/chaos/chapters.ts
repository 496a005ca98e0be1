/** The faults, each a chapter of its own: what is done to a service under load. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDatabaseUnavailable } from '../../faults.ts';
import type { Sql } from '../../store/sql.ts';
import { answers } from './app-server.ts';
import type { Scene } from './scene.ts';
import { NO_FAULTS, type ProxyFaults, type TcpProxy } from './tcp-proxy.ts';

/** How soon the service must answer again when it can. */
export const RECOVERY_LIMIT_MS = 5_000;

/** What a chapter has at hand while its load runs. */
export interface Act {
  /** How long the faults go on. */
  readonly seconds: number;
  readonly random: () => number;
  /** A shorter form for `npm test`. */
  readonly short: boolean;
  /**
   * How long the service at `url` takes to answer a charge and a question to the database, which
   * must be within `RECOVERY_LIMIT_MS`; a longer time is a failure of the chapter.
   */
  answersAgain(url: string, after: string): Promise<void>;
  /** What is worth telling. */
  note(text: string): void;
  /** What fails the chapter. */
  fail(text: string): void;
}

export interface Chapter {
  readonly name: string;
  readonly title: string;
  /** Where the load goes. */
  readonly urls: (scene: Scene) => string[];
  readonly run: (scene: Scene, act: Act) => Promise<void>;
  /** It needs a disk of its own, and so root. */
  readonly onSmallDisk?: true;
}

export const CHAPTERS: readonly Chapter[] = [
  {
    name: 'app-killed',
    title: 'the application is killed with -9 and started again',
    urls: ({ app }) => [app.url],
    async run({ app }, act) {
      const kills = await repeatedly(act, async () => {
        await sleep(200 + act.random() * 1_500);
        await app.kill();
        await Promise.all([app.start(), act.answersAgain(app.url, 'its start')]);
      });
      act.note(`killed ${kills} ${kills === 1 ? 'time' : 'times'}`);
    },
  },
  {
    name: 'database-killed',
    title: 'PostgreSQL and all its processes are killed with -9',
    urls: ({ app }) => [app.url],
    async run({ app, database }, act) {
      const kills = await repeatedly(act, async () => {
        // Its launcher gives up on a server that dies more than five times a minute.
        await sleep(act.short ? 1_000 : 13_000);
        await database.killAndAwaitRestart();
        await act.answersAgain(app.url, 'the database was ready');
      });
      act.note(`killed ${kills} ${kills === 1 ? 'time' : 'times'}`);
    },
  },
  {
    name: 'connections-terminated',
    title: 'the connections to PostgreSQL are terminated all the time, at every await',
    urls: ({ app }) => [app.url],
    async run({ app, sql }, act) {
      let terminated = 0;
      await repeatedly(act, async () => {
        const [row] = await sql<{ count: number }[]>`
          select count(pg_terminate_backend(pid))::int as count from pg_stat_activity
          where application_name like 'prepaid-wallet%' and random() < 0.1`;
        terminated += row?.count ?? 0;
        await sleep(act.random() * 20);
      });
      act.note(`terminated ${terminated} connections`);
      await act.answersAgain(app.url, 'the last of them');
    },
  },
  {
    name: 'replies-dropped',
    title: 'replies to callers are lost after the commit, and connections cut',
    urls: ({ clientProxy }) => [`http://127.0.0.1:${clientProxy.port}`],
    async run({ app, clientProxy }, act) {
      await cutThings(clientProxy, act);
      await act.answersAgain(app.url, 'the last cut');
    },
  },
  {
    name: 'database-replies-dropped',
    title: 'the same between the application and PostgreSQL',
    urls: ({ second }) => [second.url],
    async run({ second, databaseProxy }, act) {
      await cutThings(databaseProxy, act);
      await act.answersAgain(second.url, 'the last cut');
    },
  },
  {
    name: 'database-stopped',
    title: 'PostgreSQL stands still, and goes on',
    urls: ({ app }) => [app.url],
    async run({ app, database }, act) {
      await sleep(500);
      const stillSeconds = act.short ? 5 : 30;
      await database.freeze();
      try {
        await stayAlive(app.url, stillSeconds, act);
      } finally {
        await database.thaw();
      }
      act.note(`stood still for ${stillSeconds} s`);
      await act.answersAgain(app.url, 'it went on');
    },
  },
  {
    name: 'two-apps',
    title: 'two applications on one database, one of them killed with -9',
    urls: ({ app, second }) => [app.url, second.url],
    async run({ app, second }, act) {
      await repeatedly(act, async () => {
        await sleep(300 + act.random() * 700);
        await app.kill();
        // The other one must not miss it: its queue and its locks are its own.
        await act.answersAgain(second.url, 'the death of the other');
        await app.start();
        await act.answersAgain(app.url, 'its start');
      });
    },
  },
  {
    name: 'disk-full',
    title: 'the disk of PostgreSQL is full, and gets room again',
    urls: ({ app }) => [app.url],
    onSmallDisk: true,
    async run({ app, database, disk, sql }, act) {
      if (disk === null) {
        throw new Error('this chapter needs a disk of its own');
      }
      for (const need of ['tables', 'log'] as const) {
        await sleep(500);
        if (need === 'tables') {
          await beginLogFile(sql);
        }
        await disk.shrink(ROOM_FOR_SOME_BYTES);
        const refused = need === 'tables' ? await fillTables(sql) : await fillLog(sql);
        act.note(`no room for its ${need}: ${refused}`);
        await sleep(act.seconds * 1000);
        await disk.grow();
        await database.revive();
        await act.answersAgain(app.url, 'the disk had room and the database was ready');
      }
    },
  },
];

const ROOM_FOR_SOME_BYTES = 2 ** 22;

/** A file of the write-ahead log, just begun, has room for longer than the tables. */
async function beginLogFile(sql: Sql): Promise<void> {
  await sql`select pg_switch_wal()`;
  await sql`select pg_logical_emit_message(false, 'chaos', 'a new file')`;
}

/** Writes until no table has room for more: statements fail, and PostgreSQL goes on. */
async function fillTables(sql: Sql): Promise<string> {
  try {
    await sql`create table if not exists ballast (text text)`;
    // In ever smaller pieces: the room of one that failed is partly free again.
    for (const rows of [1_000, 100, 10, 1]) {
      await insertUntilRefused(sql, rows);
    }
    return 'not one more row could be written';
  } catch (error) {
    return messageOf(error);
  }
}

/** Asks for new files of the write-ahead log until there is none: PostgreSQL gives up itself. */
async function fillLog(sql: Sql): Promise<string> {
  try {
    for (;;) {
      await sql`select pg_logical_emit_message(false, 'chaos', 'log'), pg_switch_wal()`;
    }
  } catch (error) {
    return isDatabaseUnavailable(error) ? 'PostgreSQL ended itself' : messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Ends when the disk is full; throws whatever else comes, such as the end of PostgreSQL. */
async function insertUntilRefused(sql: Sql, rows: number): Promise<void> {
  for (;;) {
    try {
      await sql`insert into ballast select repeat(gen_random_uuid()::text, 200)
        from generate_series(1, ${rows}::int)`;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === '53100') {
        return;
      }
      throw error;
    }
  }
}

/** Does it again until the time is over, at least once; answers how often. */
async function repeatedly(act: Act, once: () => Promise<void>): Promise<number> {
  const untilMs = performance.now() + act.seconds * 1000;
  let times = 0;
  do {
    await once();
    times += 1;
  } while (performance.now() < untilMs);
  return times;
}

/** Two in a hundred of everything, and bursts in which nothing comes through. */
async function cutThings(proxy: TcpProxy, act: Act): Promise<void> {
  const all = (chance: number): ProxyFaults => ({
    cutBeforeRequest: chance,
    cutAfterRequest: chance,
    dropReply: chance,
    tearReply: chance,
  });
  await repeatedly(act, async () => {
    proxy.set(all(0.02));
    await sleep(400 + act.random() * 400);
    proxy.set({ dropReply: 1 });
    await sleep(50 + act.random() * 150);
    proxy.set({ ...all(0.02), cutAfterRequest: 1 });
    await sleep(20 + act.random() * 50);
  });
  proxy.set(NO_FAULTS);
  const { cutBeforeRequest, cutAfterRequest, dropReply, tearReply } = proxy.cuts;
  act.note(
    `${dropReply} replies dropped, ${tearReply} torn, ${cutAfterRequest} connections cut after ` +
      `the request, ${cutBeforeRequest} before`,
  );
}

/** While the database stands still the program itself must not. */
async function stayAlive(url: string, seconds: number, act: Act): Promise<void> {
  const untilMs = performance.now() + seconds * 1000;
  while (performance.now() < untilMs) {
    const sentAtMs = performance.now();
    if (!(await answers(`${url}/healthz`, 2_000))) {
      act.fail(`/healthz did not answer ${Math.round(performance.now() - sentAtMs)} ms long`);
    }
    await sleep(250);
  }
}
