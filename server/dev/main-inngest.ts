/**
 * `npm run dev:inngest`: `npm run dev` with Inngest's own development server in the place of the
 * runner. It is fetched by npx, which needs the internet; its pages show each run and step.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { loadEnv } from '../env.ts';

const VERSION = '1.45.1';
const PORT = '8288';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const { PORT: appPort = '3000', HOST: appHost = '127.0.0.1' } = loadEnv(process.cwd());

const inngest = spawn(
  'npx',
  [
    '--yes',
    `inngest-cli@${VERSION}`,
    'dev',
    '--port',
    PORT,
    '--sdk-url',
    `http://${appHost}:${appPort}/api/inngest`,
    '--no-discovery',
  ],
  { stdio: 'inherit' },
);
const wallet = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main], {
  stdio: 'inherit',
  env: { ...process.env, INNGEST_DEV: '1', INNGEST_BASE_URL: `http://127.0.0.1:${PORT}` },
});

let stopping = false;

/** Waits for the end of one; one without the other is of no use. */
async function ended(child: ChildProcess, name: string): Promise<void> {
  const [code, signal] = await once(child, 'exit');
  if (!stopping) {
    console.error(`${name} ended (${signal ?? `exit code ${code}`}).`);
    process.exitCode = code || 1;
    stopAll();
  }
}

function stopAll(): void {
  stopping = true;
  inngest.kill('SIGTERM');
  wallet.kill('SIGTERM');
}

// Ctrl-C reaches both by itself.
process.on('SIGINT', () => {
  stopping = true;
});
process.on('SIGTERM', stopAll);

await Promise.all([
  ended(inngest, "Inngest's development server, which npx fetches from the internet,"),
  ended(wallet, 'The wallet'),
]);
