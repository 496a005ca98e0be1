/** `npm start` in a project as it is checked out, before anything is built. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
