/** The charging API in a process of its own. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startScript } from '../start-script.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface ServerUsage {
  /** CPU time since the process started. */
  readonly cpuMicros: number;
  readonly rssBytes: number;
  /** The most that it ever was. */
  readonly peakRssBytes: number;
}

export interface ServerProcess {
  readonly port: number;
  usage(): Promise<ServerUsage>;
  stop(): Promise<void>;
}

/**
 * Starts a server on the database at `url`. With `profileDirectory` it leaves a CPU profile there
 * when it stops.
 */
export async function startServer(
  url: string,
  profileDirectory: string | undefined,
): Promise<ServerProcess> {
  const profile =
    profileDirectory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`];
  const child: ChildProcess = fork(bundled(), {
    execArgv: [...startScript().options, ...profile],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      LOG_LEVEL: 'warn',
      DATABASE_URL: url,
      SESSION_SECRET: 'bench'.repeat(8),
      STRIPE_SECRET_KEY: 'sk_test_bench',
      STRIPE_PUBLISHABLE_KEY: 'pk_test_bench',
      STRIPE_WEBHOOK_SECRET: 'whsec_bench',
      INNGEST_DEV: '1',
    },
  });
  const { port } = await answer<{ port: number }>(child);
  return {
    port,
    usage() {
      child.send('usage');
      return answer<ServerUsage>(child);
    },
    async stop() {
      if (child.exitCode === null) {
        child.disconnect();
        await once(child, 'exit');
      }
    },
  };
}

/** The server, bundled as `npm run build` bundles it; returns the file. */
function bundled(): string {
  const build = ['run', '--silent', 'build:server', '--', 'server/dev/bench/server.ts'];
  if (spawnSync('npm', build, { cwd: ROOT, stdio: 'inherit' }).status !== 0) {
    throw new Error('npm run build:server failed');
  }
  return join(ROOT, 'dist', 'server', 'dev', 'bench', 'server.js');
}

/** The server's next message; rejects when it ends instead. */
function answer<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('the server of the benchmark ended'));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}
