/** The application as `npm start` runs it, in a process of its own that can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startScript } from '../start-script.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
/** What a program needs of its surroundings; a developer's settings of the wallet stay outside. */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TMPDIR'];

export interface AppServer {
  readonly url: string;
  readonly port: number;
  /** Kills the process with -9; the port stays this application's. */
  kill(): Promise<void>;
  /** Starts it again after `kill`, and waits until it says that it is ready. */
  start(): Promise<void>;
  /** Whether it runs: false when it has ended without having been asked to. */
  isAlive(): boolean;
  /** What it logged as an error, a line each. */
  errors(): Promise<string[]>;
  stop(): Promise<void>;
}

/** Starts the application on `databaseUrl`. `directory` is its own, and keeps its log. */
export async function startAppServer(options: {
  name: string;
  databaseUrl: string;
  directory: string;
}): Promise<AppServer> {
  const { name, databaseUrl, directory } = options;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const logPath = join(directory, `${name}.log`);
  // The server reads `.env` and `build` in its working directory.
  await symlink(join(ROOT, 'build'), join(directory, 'build')).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
      throw error;
    }
  });
  let child: ChildProcess;

  async function start(): Promise<void> {
    child = launch({ databaseUrl, directory, logPath, port });
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!(await answers(`${url}/readyz`, 1_000))) {
      if (isOver(child)) {
        throw new Error(`the application ended: ${(await readFile(logPath, 'utf8')).trim()}`);
      }
      if (performance.now() > deadlineMs) {
        throw new Error('the application was not ready in time');
      }
      await sleep(20);
    }
  }

  await start();
  return {
    url,
    port,
    start,
    async kill() {
      if (!isOver(child)) {
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }
    },
    isAlive: () => !isOver(child),
    async errors() {
      const lines = (await readFile(logPath, 'utf8')).split('\n');
      return lines.filter((line) => line !== '' && !/^\{"level":"(?:warn|info)"/.test(line));
    },
    async stop() {
      if (!isOver(child)) {
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
        await ended;
        clearTimeout(force);
      }
    },
  };
}

function launch(options: {
  databaseUrl: string;
  directory: string;
  logPath: string;
  port: number;
}): ChildProcess {
  const log = openSync(options.logPath, 'a', 0o600);
  const { options: nodeOptions, file } = startScript();
  const child = spawn(process.execPath, [...nodeOptions, join(ROOT, file)], {
    cwd: options.directory,
    stdio: ['ignore', log, log],
    // Ctrl-C reaches this process alone, which then stops the parts in their order.
    detached: true,
    env: {
      ...Object.fromEntries(PASSED_ON.map((name) => [name, process.env[name]])),
      NODE_ENV: 'production',
      LOG_LEVEL: 'warn',
      HOST: '127.0.0.1',
      PORT: String(options.port),
      APP_URL: `http://127.0.0.1:${options.port}`,
      DATABASE_URL: options.databaseUrl,
      SESSION_SECRET: 'chaos'.repeat(8),
      STRIPE_SECRET_KEY: 'sk_test_chaos',
      STRIPE_PUBLISHABLE_KEY: 'pk_test_chaos',
      STRIPE_WEBHOOK_SECRET: 'whsec_chaos',
      BILLING_CRON_TOKEN: 'chaos'.repeat(4),
      INNGEST_EVENT_KEY: 'chaos',
      INNGEST_SIGNING_KEY: 'signkey-prod-c0ffee',
      // Nothing listens there: what is sent to Inngest must not matter to money.
      INNGEST_BASE_URL: 'http://127.0.0.1:9',
    },
  });
  closeSync(log);
  const onProcessExit = () => child.kill('SIGKILL');
  process.once('exit', onProcessExit);
  child.once('exit', () => process.off('exit', onProcessExit));
  return child;
}

function isOver(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Whether there is an answer, whole, in time, and a good one. */
export async function answers(url: string, timeoutMs: number): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await once(probe.listen(0, '127.0.0.1'), 'listening');
  const address = probe.address();
  probe.close();
  if (address === null || typeof address === 'string') {
    throw new Error('no port is free');
  }
  return address.port;
}
