import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startPostgres } from './postgres.ts';

/**
 * Outlives this process, however that ends: reads until the pipe to it closes, then ends what is
 * left of the server and removes its directories. (`postgres` may be a symbolic link.)
 */
const GUARD = `
  cat > /dev/null
  home=$(cd "$1/postgres" && pwd -P)
  pid=$(head -n 1 "$home/data/postmaster.pid") && kill -INT "$pid"
  while kill -0 "$pid"; do sleep 0.1; done
  rm -rf "$home" "$1"`;

/**
 * Starts an empty PostgreSQL in a temporary directory. It and the directory are gone after
 * `stop()`, and also when this process dies without calling it.
 * @throws EmbeddedPostgresError
 */
export async function startTemporaryPostgres(): Promise<EmbeddedPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'prepaid-wallet-'));
  // When this is run as root, PostgreSQL's own user must be able to pass through.
  await chmod(dataDir, 0o711);
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', dataDir], {
    // Out of the reach of Ctrl-C, which would end it together with this process.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  const removed = once(guard, 'exit');
  const remove = async () => {
    guard.ref();
    guard.stdin.end();
    await removed;
  };
  try {
    const server = await startPostgres({ dataDir });
    return {
      ...server,
      async stop() {
        await server.stop();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
