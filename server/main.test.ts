/** `npm start` in a project as it is checked out, before anything is built and after what is changed. */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

let checkout: string;

beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), 'wallet-start-'));
  copyFileSync(join(ROOT, 'package.json'), join(checkout, 'package.json'));
  cpSync(join(ROOT, 'server'), join(checkout, 'server'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
});

afterAll(() => rmSync(checkout, { recursive: true, force: true }));

function start(env: Record<string, string>) {
  const { PATH, HOME } = process.env;
  const { status, stderr } = spawnSync('npm', ['start', '--silent'], {
    cwd: checkout,
    env: { PATH, HOME, NODE_ENV: 'production', ...env },
    encoding: 'utf8',
  });
  return { status, stderr };
}

it('names every variable that is missing, and then the pages that are not built', () => {
  const withoutEnv = start({});
  expect(withoutEnv.status).toBe(1);
  for (const name of ['DATABASE_URL', 'SESSION_SECRET', 'STRIPE_SECRET_KEY']) {
    expect(withoutEnv.stderr).toContain(`${name} is missing`);
  }
  const withEnv = start({
    DATABASE_URL: 'postgres://wallet@127.0.0.1:1/wallet',
    APP_URL: 'https://billing.example',
    SESSION_SECRET: 'a'.repeat(64),
    STRIPE_SECRET_KEY: 'sk_live_start',
    STRIPE_PUBLISHABLE_KEY: 'pk_live_start',
    STRIPE_WEBHOOK_SECRET: 'whsec_start',
    BILLING_CRON_TOKEN: 'b'.repeat(64),
    INNGEST_EVENT_KEY: 'c'.repeat(64),
    INNGEST_SIGNING_KEY: `signkey-prod-${'d'.repeat(64)}`,
  });
  expect(withEnv.status).toBe(1);
  expect(withEnv.stderr).toMatch(/^no built pages in \S+: run npm run build first$/m);
}, 60_000);

/** Writes a file of the checkout, as if it were this many minutes from now. */
function write(path: string, inMinutes: number, text = ''): void {
  const file = join(checkout, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const changed = new Date(Date.now() + inMinutes * 60_000);
  utimesSync(file, changed, changed);
}

it('says that the server or the pages were built before their source changed', () => {
  write('app/root.tsx', -10);
  write('build/server/index.js', 0);
  write('dist/server/main.js', 10, 'console.error("the server of then")');
  expect(start({}).stderr).toBe('the server of then\n');
  write('server/env.test.ts', 20);
  expect(start({}).stderr).toBe('the server of then\n');
  write('server/env.ts', 20);
  const olderServer = start({});
  expect(olderServer.stderr).toBe(
    'what was built is older than server/env.ts: run npm run build\nthe server of then\n',
  );
  expect(olderServer.status).toBe(0);
  write('app/root.tsx', 5);
  expect(start({}).stderr).toMatch(
    /^what was built is older than app\/root\.tsx: run npm run build$/m,
  );
});

it('starts what was built where no sources are', () => {
  rmSync(join(checkout, 'app'), { recursive: true });
  rmSync(join(checkout, 'server'), { recursive: true });
  expect(start({})).toEqual({ status: 0, stderr: 'the server of then\n' });
});
