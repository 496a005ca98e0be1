/** What a chapter plays on: one database, two applications on it, and the proxies between. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiKeys } from '../../billing/accounts/api-keys.ts';
import { createLogger } from '../../log.ts';
import { migrate } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { type EmbeddedPostgres, startPostgres } from '../postgres.ts';
import { startTemporaryPostgres } from '../temporary-postgres.ts';
import { type AppServer, startAppServer } from './app-server.ts';
import { type HurtDatabase, hurtDatabase } from './database.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export interface Scene {
  readonly directory: string;
  readonly database: HurtDatabase;
  /** Where the database lives, in the scene that has such a disk. */
  readonly disk: SmallDisk | null;
  /** The schema's owner, past every proxy: what sets up and what checks. */
  readonly sql: Sql;
  readonly apiKey: string;
  /** On the database itself. */
  readonly app: AppServer;
  /**
   * A second process beside `app`, on the database by way of `databaseProxy`; the scene with a small
   * disk goes without.
   */
  readonly second: AppServer;
  /** Before `app`. */
  readonly clientProxy: TcpProxy;
  readonly databaseProxy: TcpProxy;
  close(): Promise<void>;
}

/** A scene on a PostgreSQL in a temporary directory. */
export async function openScene(random: () => number): Promise<Scene> {
  const postgres = await startTemporaryPostgres();
  return setUp(postgres, hurtDatabase(postgres), null, random);
}

/** A scene on a PostgreSQL whose disk can be filled; null where nothing can be mounted. */
export async function openSceneOnSmallDisk(random: () => number): Promise<Scene | null> {
  const disk = await mountSmallDisk();
  if (disk === null) {
    return null;
  }
  const start = (port?: number) =>
    startPostgres({ dataDir: disk.directory, ...(port !== undefined && { port }) });
  const postgres = await start().catch(async (error: unknown) => {
    await disk.unmount();
    throw error;
  });
  return setUp(postgres, hurtDatabase(postgres, start), disk, random);
}

/** Migrates an empty database and starts all that stands on it; on failure it takes all down. */
async function setUp(
  postgres: EmbeddedPostgres,
  database: HurtDatabase,
  disk: SmallDisk | null,
  random: () => number,
): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), 'prepaid-wallet-chaos-'));
  await chmod(directory, 0o700);
  const closers = [async () => disk?.unmount(), () => database.stop()];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) {
      await closer();
    }
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const url = postgres.ownerUrl();
    await migrate({ url });
    const sql = connect(url, { max: 4, statementTimeoutMs: 0, applicationName: 'chaos' });
    closers.push(() => sql.end({ timeout: 1 }));
    const { secret: apiKey } = await createApiKeys({ sql, logger: createLogger('silent') }).create({
      name: 'chaos',
      scopes: ['all'],
      createdBy: 'cli:chaos',
    });
    const databaseProxy = await startTcpProxy(postgres.port, random);
    closers.push(databaseProxy.close);
    const proxied = new URL(url);
    proxied.port = String(databaseProxy.port);
    const start = async (name: string, databaseUrl: string) => {
      const started = await startAppServer({ name, databaseUrl, directory });
      closers.push(() => started.stop());
      return started;
    };
    const [app, second] = await Promise.all([
      start('app', url),
      disk === null ? start('second', proxied.href) : null,
    ]);
    const clientProxy = await startTcpProxy(app.port, random);
    closers.push(clientProxy.close);
    return {
      directory,
      database,
      disk,
      sql,
      apiKey,
      app,
      second: second ?? app,
      clientProxy,
      databaseProxy,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
