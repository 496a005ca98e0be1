/** PostgreSQL's own benchmark program. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const PGBENCH_MISSING =
  'pgbench is missing, so the floor is measured by a driver of our own, which is slower: ' +
  'install it (Debian and Ubuntu: apt-get install postgresql; Alpine: postgresql; Homebrew: ' +
  'postgresql) and run this again for a floor that others can compare.';

/** Whether there is a pgbench that runs; Debian's wrapper may be there without the program. */
export async function hasPgbench(): Promise<boolean> {
  const tried = await run(['--version'], {});
  return tried?.code === 0;
}

/**
 * Runs a script of one transaction with so many clients and answers transactions a second.
 * @throws Error with what pgbench says when a transaction fails
 */
export async function pgbench(options: {
  url: string;
  script: string;
  protocol: 'simple' | 'prepared';
  clients: number;
  seconds: number;
}): Promise<number> {
  const { url, script, protocol, clients, seconds } = options;
  // A busy machine needs most of a second for the clients' connections alone.
  const wholeSeconds = Math.max(2, Math.ceil(seconds));
  const directory = await mkdtemp(join(tmpdir(), 'prepaid-wallet-bench-'));
  try {
    const file = join(directory, 'charge.sql');
    await writeFile(file, script);
    const { hostname, port, username, password, pathname } = new URL(url);
    const done = await run(
      [
        ...['--no-vacuum', '--protocol', protocol, '--file', file],
        ...['--client', String(clients), '--jobs', '2', '--time', String(wholeSeconds)],
      ],
      // Not in the arguments: the password would be in the list of processes.
      {
        PGHOST: hostname,
        PGPORT: port,
        PGUSER: decodeURIComponent(username),
        PGPASSWORD: decodeURIComponent(password),
        PGDATABASE: decodeURIComponent(pathname.slice(1)),
      },
    );
    const perSecond = Number(/tps = ([\d.]+)/.exec(done?.output ?? '')?.[1]);
    if (done?.code !== 0 || !Number.isFinite(perSecond)) {
      throw new Error(`pgbench failed:\n${done?.output.slice(0, 2_000)}`);
    }
    return perSecond;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Null when there is no such program. */
function run(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number | null; output: string } | null> {
  return new Promise((resolve, reject) => {
    const child = spawn('pgbench', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    child.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? resolve(null) : reject(error),
    );
    child.once('close', (code) => resolve({ code, output }));
  });
}
