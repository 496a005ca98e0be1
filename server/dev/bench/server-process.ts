/** The charging API in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

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
  const child: ChildProcess = fork(fileURLToPath(new URL('./server.ts', import.meta.url)), {
    execArgv: ['--import', import.meta.resolve('tsx'), ...profile],
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
