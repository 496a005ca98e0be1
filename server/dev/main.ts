/**
 * `npm run dev`: everything with nothing configured. Starts what the environment does not name
 * (PostgreSQL, the Stripe stand-in, the Inngest runner), then the application itself, which is
 * told of them by environment variables only and runs the same code as in production.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { DEFAULT_DATA_DIR, devEnvPath, readDevEnv } from '../cli/environment.ts';
import {
  describeProblems,
  type EnvSource,
  loadEnv,
  readVariables,
  STANDIN_MARKER,
} from '../env.ts';
import { createLogger } from '../log.ts';
import { migrate } from '../store/migrate.ts';
import { connect } from '../store/sql.ts';
import { startAppProcess } from './app-process.ts';
import { startInngestRunner } from './inngest/runner.ts';
import { startMailbox } from './mailbox/server.ts';
import { startPostgres } from './postgres.ts';
import { DEFERRED_USER, DEMO_USER, LATE_USER, SUPPORT_USER, seedDemo } from './seed.ts';
import { startStripeStandIn } from './stripe/server.ts';

const READY_TIMEOUT_MS = 90_000;

type Variables = Record<string, string>;

/** What has been started, in order; it is stopped in the opposite order. */
const stops: (() => Promise<unknown>)[] = [];
let stopping: Promise<void> | null = null;

function stopAll(): Promise<void> {
  stopping ??= (async () => {
    for (const stop of stops.reverse()) {
      await stop().catch((error: unknown) => console.error(`Not stopped: ${String(error)}`));
    }
  })();
  return stopping;
}

async function main(): Promise<void> {
  const given = ownWords(loadEnv(process.cwd()));
  const read = readVariables(given);
  if (!read.ok) {
    throw new Error(describeProblems(read.problems));
  }
  const port = read.env.PORT ?? 3000;
  const host = read.env.HOST ?? '127.0.0.1';
  const dataDir = read.env.DATA_DIR ?? DEFAULT_DATA_DIR;
  const logger = createLogger(read.env.LOG_LEVEL ?? 'warn');
  await assertFree(host, port);
  mkdirSync(dataDir, { recursive: true });

  const variables: Variables = {
    ...secrets(given, readDevEnv(dataDir)),
    DATA_DIR: dataDir,
    HOST: host,
    PORT: String(port),
    APP_URL: read.env.APP_URL ?? `http://localhost:${port}`,
    LOG_LEVEL: read.env.LOG_LEVEL ?? 'warn',
    // So that all there is can be seen.
    USER_REFUNDS: read.env.USER_REFUNDS ?? 'on',
  };
  const appOrigin = `http://${host}:${port}`;
  await startDatabase(given, variables, dataDir, logger);
  await startStripe(given, variables, dataDir, appOrigin, logger);
  await startInngest(given, variables, appOrigin, logger);
  await startMail(given, variables, dataDir);
  writePrivate(devEnvPath(dataDir), variables);

  const built = process.argv.includes('--built');
  const app = startAppProcess({
    env: { ...process.env, ...given, ...variables },
    args: built ? ['--built'] : [],
    reload: !built,
    onExit: (how) => {
      console.error(
        built
          ? `The application ended (${how}).`
          : `The application ended (${how}). It starts again when a file of server/ changes.`,
      );
    },
  });
  stops.push(() => app.stop());
  await untilReady(appOrigin);
  announce(given, variables, dataDir);
}

/**
 * What the person set, without what an earlier start of this server made up: a terminal that has
 * read its `dev.env` exports addresses of servers that are gone.
 */
function ownWords(source: EnvSource): EnvSource {
  const invented = readDevEnv(source.DATA_DIR ?? DEFAULT_DATA_DIR);
  const settings = new Set(['DATA_DIR', 'HOST', 'PORT', 'APP_URL', 'LOG_LEVEL']);
  return Object.fromEntries(
    Object.entries(source).filter(
      ([name, value]) => settings.has(name) || invented[name] !== value,
    ),
  );
}

/** Secrets that were given, else those that this DATA_DIR keeps, else new ones. */
function secrets(given: EnvSource, kept: EnvSource): Variables {
  const random = () => randomBytes(24).toString('hex');
  const invented: Variables = {
    SESSION_SECRET: random(),
    BILLING_CRON_TOKEN: `cron_${random()}`,
    WALLET_API_KEY: `sk_${random()}`,
  };
  if (given.STRIPE_SECRET_KEY === undefined) {
    invented.STRIPE_SECRET_KEY = `sk_test_${STANDIN_MARKER}_${random()}`;
    invented.STRIPE_PUBLISHABLE_KEY = `pk_test_${STANDIN_MARKER}_${random()}`;
    invented.STRIPE_WEBHOOK_SECRET = `whsec_${STANDIN_MARKER}_${random()}`;
  }
  return Object.fromEntries(
    Object.entries(invented).map(([name, value]) => [name, given[name] ?? kept[name] ?? value]),
  );
}

async function startDatabase(
  given: EnvSource,
  variables: Variables,
  dataDir: string,
  logger: Logger,
): Promise<void> {
  if (given.DATABASE_URL !== undefined) {
    await migrate({ url: given.DATABASE_OWNER_URL ?? given.DATABASE_URL, logger });
    return;
  }
  const postgres = await startPostgres({ dataDir, logger });
  stops.push(() => postgres.stop());
  await createDatabase(postgres.ownerUrl(), 'wallet');
  const url = postgres.ownerUrl('wallet');
  variables.DATABASE_URL = url;
  await migrate({ url, logger });
  await seedDemo({ ownerUrl: url, apiKey: variables.WALLET_API_KEY ?? '', now: new Date() });
}

async function startStripe(
  given: EnvSource,
  variables: Variables,
  dataDir: string,
  appOrigin: string,
  logger: Logger,
): Promise<void> {
  const { STRIPE_SECRET_KEY, STRIPE_PUBLISHABLE_KEY, STRIPE_WEBHOOK_SECRET } = variables;
  if (!STRIPE_SECRET_KEY || !STRIPE_PUBLISHABLE_KEY || !STRIPE_WEBHOOK_SECRET) {
    return;
  }
  const standIn = await startStripeStandIn({
    host: '127.0.0.1',
    port: 0,
    secretKey: STRIPE_SECRET_KEY,
    publishableKey: STRIPE_PUBLISHABLE_KEY,
    webhooks: [{ url: `${appOrigin}/api/stripe/webhook`, secret: STRIPE_WEBHOOK_SECRET }],
    statePath: join(dataDir, 'stripe-standin.json'),
    logger,
  });
  stops.push(() => standIn.stop());
  variables.STRIPE_API_BASE = standIn.url;
  if (given.STRIPE_API_BASE !== undefined) {
    logger.warn('STRIPE_API_BASE without STRIPE_SECRET_KEY is not used');
  }
}

async function startInngest(
  given: EnvSource,
  variables: Variables,
  appOrigin: string,
  logger: Logger,
): Promise<void> {
  if (given.INNGEST_DEV ?? given.INNGEST_BASE_URL ?? given.INNGEST_EVENT_KEY) {
    return;
  }
  const runner = await startInngestRunner({
    host: '127.0.0.1',
    port: 0,
    appUrl: `${appOrigin}/api/inngest`,
    logger,
  });
  stops.push(() => runner.stop());
  variables.INNGEST_DEV = '1';
  variables.INNGEST_BASE_URL = runner.url;
}

async function startMail(given: EnvSource, variables: Variables, dataDir: string): Promise<void> {
  if (given.SMTP_URL !== undefined) {
    return;
  }
  const mailbox = await startMailbox({ directory: join(dataDir, 'mail') });
  stops.push(() => mailbox.stop());
  variables.SMTP_URL = mailbox.smtpUrl;
  variables.MAIL_FROM = given.MAIL_FROM ?? 'Prepaid Wallet <wallet@example.com>';
  variables.MAILBOX_URL = mailbox.url;
}

async function untilReady(origin: string): Promise<void> {
  const giveUpAtMs = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${origin}/readyz`).catch(() => null);
    if (answer?.ok || stopping !== null) {
      return;
    }
    if (Date.now() > giveUpAtMs) {
      throw new Error(`the application was not ready within ${READY_TIMEOUT_MS / 1000} s`);
    }
    await sleep(200);
  }
}

function announce(given: EnvSource, variables: Variables, dataDir: string): void {
  if (stopping !== null) {
    return;
  }
  const rows = [
    ['Wallet', variables.APP_URL],
    ...(given.DATABASE_URL === undefined
      ? [
          ...[DEMO_USER, DEFERRED_USER, LATE_USER, SUPPORT_USER].map(
            ({ email, password }, index) => [
              index === 0 ? 'Sign in' : 'or',
              `${email}  password ${password}`,
            ],
          ),
          ['API key', `${variables.WALLET_API_KEY}  (demo, every scope)`],
        ]
      : []),
    ['Cron token', variables.BILLING_CRON_TOKEN],
    ['Stripe', variables.STRIPE_API_BASE ?? 'Stripe itself'],
    ['Inngest', variables.INNGEST_BASE_URL ?? 'Inngest itself'],
    ['Mail', variables.MAILBOX_URL ?? 'your mail server'],
    [
      'Variables',
      `${devEnvPath(dataDir)}  (commands in other terminals read it` +
        `${dataDir === DEFAULT_DATA_DIR ? '' : ` with DATA_DIR=${dataDir}`})`,
    ],
  ];
  const lines = rows.map(([name, value]) => `  ${`${name}`.padEnd(12)}${value}`);
  console.log(`\n${lines.join('\n')}\n\n  Ctrl-C stops all of it.\n`);
}

async function assertFree(host: string, port: number): Promise<void> {
  const probe = createServer();
  await new Promise<void>((done, fail) => {
    probe.once('error', (error: NodeJS.ErrnoException) =>
      fail(
        new Error(
          error.code === 'EADDRINUSE'
            ? `port ${port} is in use, perhaps by this very server: end that program, or set PORT to another port`
            : `cannot listen on ${host}:${port} (${error.code})`,
        ),
      ),
    );
    probe.listen(port, host, () => probe.close(() => done()));
  });
}

async function createDatabase(url: string, name: string): Promise<void> {
  const sql = connect(url, { max: 1 });
  try {
    const [found] = await sql`select 1 from pg_database where datname = ${name}`;
    if (found === undefined) {
      await sql`create database ${sql(name)}`;
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Only this user may read the file: it holds secrets. */
function writePrivate(path: string, variables: Variables): void {
  const lines = Object.entries(variables).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void stopAll().then(() => process.exit(0)));
}

main().catch(async (error: unknown) => {
  console.error(`\n${error instanceof Error ? error.message : String(error)}\n`);
  await stopAll();
  process.exit(1);
});
