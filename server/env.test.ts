import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  describeProblems,
  type EnvSource,
  loadEnv,
  readDatabaseEnv,
  readEnv,
  readVariables,
} from './env.ts';
import { FORMATS } from './env-formats.ts';

const PRODUCTION: EnvSource = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://wallet:hunter2@db.example/wallet',
  APP_URL: 'https://wallet.example.com',
  SESSION_SECRET: 'x'.repeat(32),
  STRIPE_SECRET_KEY: 'sk_live_abc',
  STRIPE_PUBLISHABLE_KEY: 'pk_live_abc',
  STRIPE_WEBHOOK_SECRET: 'whsec_abc',
  BILLING_CRON_TOKEN: 'cron-token-of-16',
  INNGEST_EVENT_KEY: 'event-key',
  INNGEST_SIGNING_KEY: 'signkey-prod-abc',
};

function problemsOf(source: EnvSource, production = true): Record<string, string> {
  const read = readEnv(source, { production });
  if (read.ok) return {};
  return Object.fromEntries(read.problems.map(({ name, problem }) => [name, problem]));
}

describe('readEnv in production', () => {
  it('reads a complete environment', () => {
    const read = readEnv(
      {
        ...PRODUCTION,
        STRIPE_WEBHOOK_SECRET: 'whsec_new, whsec_old',
        BILLING_CRON_TOKEN: 'cron-token-of-16,another-token-16',
        APP_URL: 'https://wallet.example.com/',
      },
      { production: true },
    );
    expect(read).toMatchObject({
      ok: true,
      env: {
        production: true,
        databaseOwnerUrl: PRODUCTION.DATABASE_URL,
        appUrl: 'https://wallet.example.com',
        host: '127.0.0.1',
        port: 3000,
        trustedProxies: 0,
        stripe: { webhookSecrets: ['whsec_new', 'whsec_old'], apiBase: null },
        billingCronTokens: ['cron-token-of-16', 'another-token-16'],
        inngest: { dev: false, baseUrl: null },
        logLevel: 'info',
      },
    });
  });

  it('names every missing variable at once', () => {
    expect(problemsOf({})).toEqual(
      Object.fromEntries(
        Object.keys(PRODUCTION)
          .filter((name) => name !== 'NODE_ENV')
          .map((name) => [name, 'is missing']),
      ),
    );
  });

  it('names missing, malformed and refused variables together, and repeats no value', () => {
    const source = {
      ...PRODUCTION,
      DATABASE_URL: 'mysql://hunter2',
      APP_URL: 'http://hunter2.example.com',
      SESSION_SECRET: 'hunter2',
      STRIPE_SECRET_KEY: undefined,
      STRIPE_WEBHOOK_SECRET: 'whsec_hunter2, ',
      BILLING_CRON_TOKEN: 'hunter2',
      PORT: 'hunter2',
      LOG_LEVEL: 'hunter2',
      STRIPE_API_BASE: 'http://127.0.0.1:4242',
      INNGEST_DEV: '1',
    };
    const read = readEnv(source, { production: true });
    const problems = read.ok ? [] : read.problems;
    expect(problems.map(({ name }) => name).sort()).toEqual([
      'APP_URL',
      'BILLING_CRON_TOKEN',
      'DATABASE_URL',
      'INNGEST_DEV',
      'LOG_LEVEL',
      'PORT',
      'SESSION_SECRET',
      'STRIPE_API_BASE',
      'STRIPE_SECRET_KEY',
      'STRIPE_WEBHOOK_SECRET',
    ]);
    expect(describeProblems(problems)).not.toContain('hunter2');
  });

  it.each([
    ['STRIPE_API_BASE', 'http://localhost:4242'],
    ['STRIPE_API_BASE', 'https://[::1]:4242'],
    ['STRIPE_API_BASE', 'http://stripe.example.com'],
    ['INNGEST_DEV', 'http://127.0.0.1:8288'],
    ['STRIPE_SECRET_KEY', 'sk_test_standin_abc'],
    ['STRIPE_WEBHOOK_SECRET', 'whsec_standin_abc'],
    ['INNGEST_SIGNING_KEY', 'signkey-standin-abc'],
    ['SMTP_URL', 'smtp://standin:standin@127.0.0.1:2525'],
    ['NODE_ENV', 'development'],
    ['APP_URL', 'http://wallet.example.com'],
  ])('refuses the development stand-ins and plain HTTP: %s=%s', (name, value) => {
    expect(Object.keys(problemsOf({ ...PRODUCTION, [name]: value }))).toContain(name);
  });

  it.each([
    ['APP_URL', 'http://localhost:3000'],
    ['STRIPE_API_BASE', 'https://stripe-proxy.example.com'],
    ['INNGEST_DEV', '0'],
    ['INNGEST_BASE_URL', 'http://inngest.internal:8288'],
    ['STRIPE_SECRET_KEY', 'rk_live_abc'],
    ['INNGEST_SIGNING_KEY', '0123456789abcdef'],
  ])('accepts %s=%s', (name, value) => {
    expect(problemsOf({ ...PRODUCTION, [name]: value })).toEqual({});
  });

  it.each([
    ['APP_URL', 'https://wallet.example.com/app'],
    ['APP_URL', 'https://me:pw@wallet.example.com'],
    ['STRIPE_SECRET_KEY', 'pk_live_abc'],
    ['STRIPE_PUBLISHABLE_KEY', 'pk_live abc'],
    ['STRIPE_WEBHOOK_SECRET', ' , '],
    ['PORT', '65536'],
    ['PORT', '3000.5'],
    ['TRUSTED_PROXIES', '-1'],
    ['CRON_SECRET', 'short'],
    ['METRICS_TOKEN', 'short'],
    ['SMTP_URL', 'http://mail.example'],
    ['HOST', 'a b'],
    ['INNGEST_SIGNING_KEY', 'x'],
    ['INNGEST_SIGNING_KEY', 'abc123'],
  ])('refuses malformed values: %s=%s', (name, value) => {
    expect(Object.keys(problemsOf({ ...PRODUCTION, [name]: value }))).toContain(name);
  });

  it('refuses a live key beside a test key', () => {
    expect(problemsOf({ ...PRODUCTION, STRIPE_PUBLISHABLE_KEY: 'pk_test_abc' })).toEqual({
      STRIPE_PUBLISHABLE_KEY: 'is a test key, but STRIPE_SECRET_KEY is a live key',
    });
  });

  it('reads the publishable key under its public name too', () => {
    const { STRIPE_PUBLISHABLE_KEY: key, ...rest } = PRODUCTION;
    const read = readEnv(
      { ...rest, NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY: key },
      { production: true },
    );
    expect(read).toMatchObject({ ok: true, env: { stripe: { publishableKey: 'pk_live_abc' } } });
  });

  it('wants a sender where mail is sent', () => {
    expect(Object.keys(problemsOf({ ...PRODUCTION, SMTP_URL: 'smtp://mail.example' }))).toEqual([
      'MAIL_FROM',
    ]);
  });
});

describe('readEnv in development', () => {
  const DEVELOPMENT: EnvSource = {
    DATABASE_URL: 'postgres://127.0.0.1:5432/wallet',
    SESSION_SECRET: 'x'.repeat(32),
    STRIPE_SECRET_KEY: 'sk_test_standin_abc',
    STRIPE_PUBLISHABLE_KEY: 'pk_test_standin_abc',
    STRIPE_WEBHOOK_SECRET: 'whsec_standin_abc',
    STRIPE_API_BASE: 'http://127.0.0.1:4242',
    INNGEST_DEV: '1',
    PORT: '3100',
  };

  it('takes the stand-ins and fills in the rest', () => {
    expect(readEnv(DEVELOPMENT, { production: false })).toMatchObject({
      ok: true,
      env: {
        appUrl: 'http://localhost:3100',
        stripe: { apiBase: 'http://127.0.0.1:4242' },
        inngest: { dev: true, eventKey: null, signingKey: null },
        billingCronTokens: [],
      },
    });
  });

  it('still names what nothing runs without', () => {
    expect(Object.keys(problemsOf({ ...DEVELOPMENT, DATABASE_URL: '' }, false))).toEqual([
      'DATABASE_URL',
    ]);
  });
});

describe('readDatabaseEnv', () => {
  it('wants the database and nothing else', () => {
    expect(readDatabaseEnv({ DATABASE_URL: 'postgres://a/b', PORT: 'x' })).toEqual({
      ok: true,
      env: { databaseUrl: 'postgres://a/b', databaseOwnerUrl: 'postgres://a/b', logLevel: 'info' },
    });
    expect(readDatabaseEnv({})).toEqual({
      ok: false,
      problems: [{ name: 'DATABASE_URL', problem: 'is missing' }],
    });
  });
});

describe('readVariables', () => {
  it('requires nothing, but refuses what is malformed', () => {
    expect(readVariables({ PORT: '3000' })).toEqual({ ok: true, env: { PORT: 3000 } });
    expect(readVariables({ PORT: 'x' })).toMatchObject({ ok: false });
  });
});

describe('loadEnv', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'env-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('lets the process win over .env.local, and that over .env', () => {
    writeFileSync(join(directory, '.env'), 'A=env\nB=env\nC=env # why\n');
    writeFileSync(join(directory, '.env.local'), 'A=local\nB="local"\n');
    expect(loadEnv(directory, { A: 'process', D: 'process' })).toEqual({
      A: 'process',
      B: 'local',
      C: 'env',
      D: 'process',
    });
  });

  it('takes an empty value for an absent one', () => {
    writeFileSync(join(directory, '.env'), 'A=env\nB=\n');
    expect(loadEnv(directory, { A: ' ' })).toEqual({ A: 'env' });
  });

  it('needs no files', () => {
    expect(loadEnv(directory, { A: 'process' })).toEqual({ A: 'process' });
  });
});

describe('.env.example', () => {
  it('documents every variable, and none that is not read', () => {
    const example = readFileSync(new URL('../.env.example', import.meta.url), 'utf8');
    expect(Object.keys(parseEnv(example)).sort()).toEqual(Object.keys(FORMATS).sort());
  });
});
