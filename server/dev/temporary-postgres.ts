import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startPostgres } from './postgres.ts';

/**
 * Outlives this process, however that ends: reads until the pipe to it closes, then ends what is
 * left of the server and removes its directories.
 */
const GUARD = `
  cat > /dev/null
  pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null) && kill -INT "$pid"
  while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
  rm -rf "$1" "$2"`;

/**
 * Starts an empty PostgreSQL in a temporary directory. It and the directory are gone after
 * `stop()`, and also when this process dies without calling it.
 */
export async function startTemporaryPostgres(): Promise<EmbeddedPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'prepaid-wallet-'));
  // When this is run as root, PostgreSQL's own user must be able to pass through.
  await chmod(dataDir, 0o711);
  const server = await startPostgres({ dataDir });
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', server.homeDirectory, dataDir], {
    // Out of the reach of Ctrl-C, which would end it together with this process.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  return {
    ...server,
    async stop() {
      await server.stop();
      if (guard.exitCode !== null) return;
      const gone = once(guard, 'exit');
      guard.ref();
      guard.stdin.end();
      await gone;
    },
  };
}
