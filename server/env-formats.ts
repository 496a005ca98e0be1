import { z } from 'zod';
import { LOG_LEVELS } from './log.ts';

const TOKEN_MIN_LENGTH = 16;

/** How each variable must look when it is there. Messages never repeat a value. */
export const FORMATS = {
  NODE_ENV: z.enum(
    ['development', 'production', 'test'],
    'must be development, production or test',
  ),
  DATABASE_URL: urlOf(['postgres:', 'postgresql:'], 'must be a postgres:// URL'),
  DATABASE_OWNER_URL: urlOf(['postgres:', 'postgresql:'], 'must be a postgres:// URL'),
  DATA_DIR: z.string(),
  HOST: z.string().regex(/^[A-Za-z0-9.:-]+$/, 'must be a host name or an IP address'),
  PORT: wholeNumber(65_535),
  APP_URL: origin('https://wallet.example.com'),
  TRUSTED_PROXIES: wholeNumber(10),
  SESSION_SECRET: secret(32),
  STRIPE_SECRET_KEY: word(/^(?:sk|rk)_/, 'must start with sk_ or rk_ and hold no blanks'),
  STRIPE_PUBLISHABLE_KEY: word(/^pk_/, 'must start with pk_ and hold no blanks'),
  STRIPE_WEBHOOK_SECRET: listOf(
    (item) => /^whsec_\S+$/.test(item),
    'must start with whsec_ (comma-separated while rotating, none of them blank)',
  ),
  STRIPE_API_BASE: origin('https://stripe.example.com'),
  USER_REFUNDS: z.enum(['on', 'off'], 'must be on or off'),
  BILLING_CRON_TOKEN: listOf(
    (item) => item.length >= TOKEN_MIN_LENGTH,
    `must have at least ${TOKEN_MIN_LENGTH} characters (comma-separated while rotating)`,
  ),
  CRON_SECRET: secret(TOKEN_MIN_LENGTH),
  INNGEST_DEV: z.string(),
  INNGEST_BASE_URL: origin('https://inngest.example.com'),
  INNGEST_EVENT_KEY: word(/^/, 'must hold no blanks'),
  INNGEST_SIGNING_KEY: word(
    /^(?:signkey-\S{3,}|(?:[0-9a-f]{2}){8,})$/i,
    "must start with signkey- or, of a server of one's own, be at least 16 hex digits",
  ),
  SMTP_URL: urlOf(['smtp:', 'smtps:'], 'must be an smtp:// or smtps:// URL'),
  MAIL_FROM: z.string().regex(/^[^\r\n]*\S@\S[^\r\n]*$/, 'must be an email address'),
  METRICS_TOKEN: secret(TOKEN_MIN_LENGTH),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`),
};

const LOOPBACK_HOST =
  /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[^\]]*\])$/;

/** Whether the URL's host is this machine. */
export function isLoopback(url: string): boolean {
  return LOOPBACK_HOST.test(parseUrl(url)?.hostname ?? '');
}

export function isPlainHttp(url: string): boolean {
  return parseUrl(url)?.protocol === 'http:';
}

function parseUrl(value: string): URL | null {
  return URL.canParse(value) ? new URL(value) : null;
}

function urlOf(protocols: readonly string[], problem: string) {
  return z.string().refine((value) => protocols.includes(parseUrl(value)?.protocol ?? ''), problem);
}

/** An HTTP origin: the host and nothing after it. */
function origin(example: string) {
  return urlOf(['http:', 'https:'], `must be a URL such as ${example}`)
    .refine(
      (value) => /^https?:\/\/[^/?#@]+\/?$/i.test(value),
      `must end after the host, as in ${example}`,
    )
    .transform((value) => parseUrl(value)?.origin ?? value);
}

function wholeNumber(max: number) {
  return z
    .string()
    .refine(
      (value) => /^\d{1,5}$/.test(value) && Number(value) <= max,
      `must be a whole number from 0 to ${max}`,
    )
    .transform(Number);
}

function word(pattern: RegExp, problem: string) {
  return z.string().refine((value) => pattern.test(value) && !/\s/.test(value), problem);
}

function secret(minLength: number) {
  const problem = `must have at least ${minLength} characters`;
  return z.string().refine((value) => value.trim().length >= minLength, problem);
}

function listOf(valid: (item: string) => boolean, problem: string) {
  return z
    .string()
    .transform((value) => value.split(',').map((item) => item.trim()))
    .refine((items) => items.every(valid), problem);
}
