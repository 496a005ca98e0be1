/** Playwright's global setup: one wallet of its own for all browser tests, on the built pages. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { chmod, mkdtemp, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseEnv } from 'node:util';
import { findBrowser } from './browser.ts';
import { handOver } from './wallet.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 20_000;
/** What a program needs of its surroundings; a developer's settings of the wallet stay outside. */
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'NODE_EXTRA_CA_CERTS'];

/** Starts everything; what it returns stops it. */
export default async function setUp(): Promise<() => Promise<void>> {
  if (!existsSync(join(ROOT, 'build', 'server', 'index.js'))) {
    throw new Error('the pages are not built: npm run build');
  }
  const browser = await findBrowser();
  console.log(`Browser: ${browser.executablePath}`);

  const directory = await mkdtemp(join(tmpdir(), 'prepaid-wallet-e2e-'));
  // As root, the unprivileged user of PostgreSQL must be able to pass through.
  await chmod(directory, 0o711);
  // The server reads `.env` in its working directory: this one has none.
  await symlink(join(ROOT, 'build'), join(directory, 'build'));
  const dataDir = join(directory, 'data');
  const url = `http://127.0.0.1:${await freePort()}`;
  const logPath = join(directory, 'server.log');
  const server = start(directory, dataDir, url, logPath);

  const tearDown = async () => {
    await stop(server);
    // As root in a closed temporary directory, this leads to where PostgreSQL's data is.
    const database = await realpath(join(dataDir, 'postgres')).catch(() => dataDir);
    await rm(database, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await untilReady(server, url);
    const variables = parseEnv(await readFile(join(dataDir, 'dev.env'), 'utf8'));
    const stripeUrl = variables.STRIPE_API_BASE ?? '';
    handOver({ wallet: { url, stripeUrl, variables, logPath }, browser });
  } catch (error) {
    await stop(server);
    console.error(await readFile(logPath, 'utf8'));
    await tearDown();
    throw error;
  }
  return tearDown;
}

function start(directory: string, dataDir: string, url: string, logPath: string): ChildProcess {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const log = openSync(logPath, 'a');
  const passedOn = PASSED_ON.map((name) => [name, process.env[name]]);
  return spawn(
    process.execPath,
    ['--import', tsx, join(ROOT, 'server', 'dev', 'main.ts'), '--built'],
    {
      cwd: directory,
      env: {
        ...Object.fromEntries(passedOn.filter(([, value]) => value !== undefined)),
        DATA_DIR: dataDir,
        HOST: '127.0.0.1',
        PORT: new URL(url).port,
        APP_URL: url,
        LOG_LEVEL: 'info',
      },
      stdio: ['ignore', log, log],
    },
  );
}

async function untilReady(server: ChildProcess, url: string): Promise<void> {
  const giveUpAtMs = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(`${url}/readyz`))) {
    if (hasEnded(server)) {
      throw new Error('the server ended before it was ready; its output is above');
    }
    if (Date.now() > giveUpAtMs) {
      throw new Error(`the server was not ready within ${START_TIMEOUT_MS / 1000} s`);
    }
    await sleep(200);
  }
}

async function answers(url: string): Promise<boolean> {
  return await fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function stop(server: ChildProcess): Promise<void> {
  if (hasEnded(server)) {
    return;
  }
  const ended = once(server, 'exit');
  const timer = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS);
  server.kill('SIGTERM');
  await ended;
  clearTimeout(timer);
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') {
    throw new Error('no free port was found');
  }
  return address.port;
}
