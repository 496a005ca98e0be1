import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { FORMATS, isLoopback, isPlainHttp } from './env-formats.ts';
import type { LogLevel } from './log.ts';

/** The variables of a process: `process.env`, or a test's own. */
export type EnvSource = Readonly<Record<string, string | undefined>>;

/** What the program is told by its environment; everything else takes options. */
export interface Env {
  readonly production: boolean;
  readonly databaseUrl: string;
  /** A login that owns the schema, for migrations, where `databaseUrl`'s does not. */
  readonly databaseOwnerUrl: string;
  readonly host: string;
  readonly port: number;
  /** The origin where people reach this program, without a slash at the end. */
  readonly appUrl: string;
  /** How many proxies in front of this program add to `X-Forwarded-For`. */
  readonly trustedProxies: number;
  readonly sessionSecret: string;
  readonly stripe: {
    readonly secretKey: string;
    readonly publishableKey: string;
    /** More than one while rotating. */
    readonly webhookSecrets: readonly string[];
    /** The origin of another server that speaks Stripe's API; null for Stripe itself. */
    readonly apiBase: string | null;
  };
  /** Whether users may send unspent money back to their cards by themselves. */
  readonly userRefunds: boolean;
  /** Any of them starts the monthly run; without one nobody can, by HTTP. */
  readonly billingCronTokens: readonly string[];
  readonly cronSecret: string | null;
  readonly inngest: {
    readonly dev: boolean;
    readonly baseUrl: string | null;
    readonly eventKey: string | null;
    readonly signingKey: string | null;
  };
  readonly smtpUrl: string | null;
  readonly mailFrom: string | null;
  readonly metricsToken: string | null;
  readonly logLevel: LogLevel;
}

export interface EnvProblem {
  readonly name: string;
  /** What is wrong, never the value. */
  readonly problem: string;
}

export type ReadEnv<T> =
  | { readonly ok: true; readonly env: T }
  | { readonly ok: false; readonly problems: readonly EnvProblem[] };

/** Part of every key that the development stand-ins issue; a production start refuses it. */
export const STANDIN_MARKER = 'standin';

/**
 * The process's variables with those of the files `.env.local` and `.env` in `directory`: the
 * process's own win, then `.env.local`. Empty values count as absent.
 */
export function loadEnv(directory: string, source: EnvSource = process.env): EnvSource {
  const files = ['.env', '.env.local'].map((name) => join(directory, name)).filter(existsSync);
  const layers = [...files.map((file) => parseEnv(readFileSync(file, 'utf8'))), source];
  return Object.assign({}, ...layers.map(withoutEmpty));
}

function withoutEmpty(source: EnvSource): EnvSource {
  return Object.fromEntries(Object.entries(source).filter(([, value]) => value?.trim()));
}

const ANY = z.object(FORMATS).partial();
const SERVER = ANY.required({
  DATABASE_URL: true,
  SESSION_SECRET: true,
  STRIPE_SECRET_KEY: true,
  STRIPE_PUBLISHABLE_KEY: true,
  STRIPE_WEBHOOK_SECRET: true,
});
const PRODUCTION = SERVER.required({
  APP_URL: true,
  BILLING_CRON_TOKEN: true,
  INNGEST_EVENT_KEY: true,
  INNGEST_SIGNING_KEY: true,
});
const DATABASE = ANY.pick({
  DATABASE_URL: true,
  DATABASE_OWNER_URL: true,
  LOG_LEVEL: true,
}).required({ DATABASE_URL: true });

const STRIPE = ANY.pick({
  DATABASE_URL: true,
  STRIPE_SECRET_KEY: true,
  STRIPE_API_BASE: true,
}).required({ DATABASE_URL: true, STRIPE_SECRET_KEY: true });

/** The variables that are there, by their own names, parsed. */
export type Variables = z.infer<typeof ANY>;

/**
 * Reads what the server needs. Either everything is there and well-formed, or the answer names
 * each variable that is missing, malformed, or a stand-in's where production is asked for.
 */
export function readEnv(
  source: EnvSource,
  { production }: { readonly production: boolean },
): ReadEnv<Env> {
  const read = check(production ? PRODUCTION : SERVER, source, [
    ...contradictions(source),
    ...(production ? unfitForProduction(source) : []),
  ]);
  if (!read.ok) return read;
  const given = read.env;
  const port = given.PORT ?? 3000;
  const env: Env = {
    production,
    databaseUrl: given.DATABASE_URL,
    databaseOwnerUrl: given.DATABASE_OWNER_URL ?? given.DATABASE_URL,
    host: given.HOST ?? '127.0.0.1',
    port,
    appUrl: given.APP_URL ?? `http://localhost:${port}`,
    trustedProxies: given.TRUSTED_PROXIES ?? 0,
    sessionSecret: given.SESSION_SECRET,
    stripe: {
      secretKey: given.STRIPE_SECRET_KEY,
      publishableKey: given.STRIPE_PUBLISHABLE_KEY,
      webhookSecrets: given.STRIPE_WEBHOOK_SECRET,
      apiBase: given.STRIPE_API_BASE ?? null,
    },
    userRefunds: given.USER_REFUNDS === 'on',
    billingCronTokens: given.BILLING_CRON_TOKEN ?? [],
    cronSecret: given.CRON_SECRET ?? null,
    inngest: {
      dev: asksForInngestDev(given.INNGEST_DEV),
      baseUrl: given.INNGEST_BASE_URL ?? null,
      eventKey: given.INNGEST_EVENT_KEY ?? null,
      signingKey: given.INNGEST_SIGNING_KEY ?? null,
    },
    smtpUrl: given.SMTP_URL ?? null,
    mailFrom: given.MAIL_FROM ?? null,
    metricsToken: given.METRICS_TOKEN ?? null,
    logLevel: given.LOG_LEVEL ?? 'info',
  };
  return { ok: true, env };
}

/** Reads what a command needs that talks to the database and to nothing else. */
export function readDatabaseEnv(
  source: EnvSource,
): ReadEnv<Pick<Env, 'databaseUrl' | 'databaseOwnerUrl' | 'logLevel'>> {
  const read = check(DATABASE, source);
  if (!read.ok) return read;
  const { DATABASE_URL: databaseUrl, DATABASE_OWNER_URL: ownerUrl, LOG_LEVEL: level } = read.env;
  return {
    ok: true,
    env: { databaseUrl, databaseOwnerUrl: ownerUrl ?? databaseUrl, logLevel: level ?? 'info' },
  };
}

/** Reads what a command needs that talks to the database and to Stripe. */
export function readStripeEnv(
  source: EnvSource,
): ReadEnv<{ databaseUrl: string; stripe: { secretKey: string; apiBase: string | null } }> {
  const read = check(STRIPE, source);
  if (!read.ok) return read;
  const { DATABASE_URL: databaseUrl, STRIPE_SECRET_KEY: secretKey, STRIPE_API_BASE } = read.env;
  return {
    ok: true,
    env: { databaseUrl, stripe: { secretKey, apiBase: STRIPE_API_BASE ?? null } },
  };
}

/** Reads what is there and requires nothing: for a program that fills in the rest. */
export function readVariables(source: EnvSource): ReadEnv<Variables> {
  return check(ANY, source);
}

/** The problems as a message for the terminal, one a line. */
export function describeProblems(problems: readonly EnvProblem[]): string {
  return [
    'The environment is not right (.env.example describes each variable):',
    ...problems.map(({ name, problem }) => `  ${name} ${problem}`),
  ].join('\n');
}

function check<T>(
  schema: z.ZodType<T>,
  source: EnvSource,
  further: readonly EnvProblem[] = [],
): ReadEnv<T> {
  const given: EnvSource = withoutEmpty({
    ...source,
    STRIPE_PUBLISHABLE_KEY:
      source.STRIPE_PUBLISHABLE_KEY?.trim() || source.NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY,
  });
  const parsed = schema.safeParse(given);
  const found = (parsed.error?.issues ?? []).map(({ path, message }) => {
    const name = String(path[0]);
    return { name, problem: given[name] === undefined ? 'is missing' : message };
  });
  const problems = [...found, ...further].filter(
    ({ name }, index, all) => all.findIndex((other) => other.name === name) === index,
  );
  return parsed.success && problems.length === 0
    ? { ok: true, env: parsed.data }
    : { ok: false, problems };
}

function contradictions(source: EnvSource): EnvProblem[] {
  const problems: EnvProblem[] = [];
  const secretMode = stripeMode(source.STRIPE_SECRET_KEY);
  const publishableMode = stripeMode(
    source.STRIPE_PUBLISHABLE_KEY || source.NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY,
  );
  if (secretMode && publishableMode && secretMode !== publishableMode) {
    problems.push({
      name: 'STRIPE_PUBLISHABLE_KEY',
      problem: `is a ${publishableMode} key, but STRIPE_SECRET_KEY is a ${secretMode} key`,
    });
  }
  if (source.SMTP_URL && !source.MAIL_FROM) {
    problems.push({ name: 'MAIL_FROM', problem: 'is missing: SMTP_URL needs a sender' });
  }
  return problems;
}

function stripeMode(key: string | undefined): string | undefined {
  return /^[a-z]+_(live|test)_/.exec(key ?? '')?.[1];
}

function unfitForProduction(source: EnvSource): EnvProblem[] {
  const problems: EnvProblem[] = [];
  const refuse = (name: string, problem: string) => problems.push({ name, problem });

  if (source.NODE_ENV && source.NODE_ENV !== 'production') {
    refuse('NODE_ENV', 'must be production');
  }
  if (source.APP_URL && isPlainHttp(source.APP_URL) && !isLoopback(source.APP_URL)) {
    refuse('APP_URL', 'must be https in production');
  }
  const apiBase = source.STRIPE_API_BASE;
  if (apiBase && isLoopback(apiBase)) {
    refuse('STRIPE_API_BASE', 'names a stand-in on this machine, which production refuses');
  } else if (apiBase && isPlainHttp(apiBase)) {
    refuse('STRIPE_API_BASE', 'must be https in production');
  }
  if (asksForInngestDev(source.INNGEST_DEV)) {
    refuse('INNGEST_DEV', 'must not be set in production');
  }
  for (const name of Object.keys(FORMATS).filter((name) =>
    /^(?:STRIPE|INNGEST)_.*(?:KEY|SECRET)$/.test(name),
  )) {
    if (source[name]?.includes(STANDIN_MARKER)) {
      refuse(name, 'belongs to the development stand-in, which production refuses');
    }
  }
  if (source.SMTP_URL?.includes(`//${STANDIN_MARKER}:`)) {
    refuse('SMTP_URL', 'names the development mailbox, which production refuses');
  }
  return problems;
}

/** As Inngest's SDK reads it: absent, `0` and `false` mean its cloud or a server of one's own. */
function asksForInngestDev(value: string | undefined): boolean {
  return Boolean(value?.trim()) && !/^(?:0|false)$/i.test(value?.trim() ?? '');
}
