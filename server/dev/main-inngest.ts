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

const children: ChildProcess[] = [
  spawn(
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
  ),
  spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main], {
    stdio: 'inherit',
    env: { ...process.env, INNGEST_DEV: '1', INNGEST_BASE_URL: `http://127.0.0.1:${PORT}` },
  }),
];

function stopAll(): void {
  for (const child of children) {
    child.kill('SIGTERM');
  }
}

// Ctrl-C reaches all of them by itself.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', stopAll);

const [first] = await Promise.all(
  children.map(async (child) => {
    const [code] = await once(child, 'exit');
    // One without the other is of no use.
    stopAll();
    return typeof code === 'number' ? code : 0;
  }),
);
process.exitCode = first ?? 0;
