/** Demo data: a user with a little history, a member of the support staff, and an API key. */
import { createHash, randomUUID } from 'node:crypto';
import { ensureUser } from '../billing/accounts/accounts.ts';
import { randomBase32 } from '../billing/accounts/random-ids.ts';
import { ledgerKey, requestHash } from '../ledger/key.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { rate } from '../rating/rate.ts';
import { compileRateCard, rateCardSchema } from '../rating/rate-card.ts';
import { canonicalUsage, type Usage, usageUnits } from '../rating/usage.ts';
import { insertApiKey } from '../store/api-keys.ts';
import { chargeWallet, grantCredit } from '../store/charges.ts';
import { connect, type Sql } from '../store/sql.ts';
import { addSubscription } from '../store/subscriptions.ts';
import { findWallets, openWallet } from '../store/wallets.ts';

export const DEMO_USER = { email: 'demo@example.com', password: 'demo-password' };
export const SUPPORT_USER = { email: 'support@example.com', password: 'support-password' };
const ACTOR = 'system:seed';
const DAY_MS = 86_400_000;

/**
 * What the demo user did, by days before the first of this month; later ones are in this month. The
 * days are in the same months however long those are.
 */
const HISTORY: readonly { daysBeforeMonth: number; usage: Usage }[] = [
  { daysBeforeMonth: 84, usage: { type: 'call', durationSeconds: 420, to: '+14155550132' } },
  { daysBeforeMonth: 80, usage: { type: 'sms', to: '+14155550132', segments: 3 } },
  { daysBeforeMonth: 77, usage: { type: 'fax', to: '+442079460018', pages: 2 } },
  { daysBeforeMonth: 70, usage: { type: 'email', recipients: 40 } },
  { daysBeforeMonth: 66, usage: { type: 'file_transfer', transfers: 3, bytes: 9_000_000 } },
  { daysBeforeMonth: 55, usage: { type: 'call', durationSeconds: 900, to: '+442079460321' } },
  { daysBeforeMonth: 50, usage: { type: 'sms', to: '+4930901820', segments: 4 } },
  { daysBeforeMonth: 45, usage: { type: 'fax', to: '+442079460018', pages: 1 } },
  { daysBeforeMonth: 40, usage: { type: 'email', recipients: 12 } },
  { daysBeforeMonth: 36, usage: { type: 'call', durationSeconds: 240, to: '+14155550198' } },
  { daysBeforeMonth: 24, usage: { type: 'call', durationSeconds: 330, to: '+14155550132' } },
  { daysBeforeMonth: 22, usage: { type: 'sms', to: '+14155550132', segments: 2 } },
  { daysBeforeMonth: 17, usage: { type: 'fax', to: '+442079460018', pages: 4 } },
  { daysBeforeMonth: 12, usage: { type: 'email', recipients: 25 } },
  { daysBeforeMonth: 9, usage: { type: 'call', durationSeconds: 1_260, to: '+442079460321' } },
  { daysBeforeMonth: 3, usage: { type: 'file_transfer', transfers: 6, bytes: 48_000_000 } },
  { daysBeforeMonth: 0, usage: { type: 'sms', to: '+4930901820', segments: 1 } },
  { daysBeforeMonth: 0, usage: { type: 'call', durationSeconds: 95, to: '+14155550198' } },
];

/** What the demo user does on each day of this month, counted from 0. */
function usageOfDay(day: number): Usage[] {
  const to = '+14155550132';
  return [
    { type: 'call', durationSeconds: 60 + ((day * 137) % 540), to },
    ...(day % 2 === 1 ? [{ type: 'sms', to, segments: 1 + (day % 3) } as const] : []),
    ...(day % 3 === 0 ? [{ type: 'email', recipients: 5 + day } as const] : []),
    ...(day % 5 === 0 ? [{ type: 'fax', to: '+442079460018', pages: 1 + (day % 4) } as const] : []),
    ...(day % 7 === 3 ? [{ type: 'file_transfer', transfers: 2 } as const] : []),
  ];
}

/**
 * Writes the demo data, as the schema's owner; a second time changes nothing. The history is
 * recorded in the past: inside its one transaction the ledger's clock is replaced, which only the
 * schema's owner can do, and no other session sees.
 */
export async function seedDemo(options: {
  ownerUrl: string;
  apiKey: string | null;
  now: Date;
}): Promise<void> {
  const sql = connect(options.ownerUrl, { max: 1, applicationName: 'prepaid-wallet seed' });
  try {
    await ensureUser(sql, { id: 'demo', role: 'user', ...DEMO_USER });
    await ensureUser(sql, { id: 'support', role: 'support', ...SUPPORT_USER });
    if (options.apiKey !== null) {
      await ensureApiKey(sql, options.apiKey);
    }
    const [wallet] = await findWallets(sql, { userId: 'demo' });
    if (wallet === undefined) {
      await sql.begin((transaction) => seedHistory(transaction as unknown as Sql, options.now));
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function ensureApiKey(sql: Sql, secret: string): Promise<void> {
  const secretHash = createHash('sha256').update(secret).digest();
  const [found] = await sql`select 1 from api_keys where secret_hash = ${secretHash}`;
  if (found === undefined) {
    await insertApiKey(sql, {
      id: `key_${randomBase32(16)}`,
      name: 'Demo',
      scopes: ['all'],
      secretHash,
      prefix: secret.slice(0, 7),
      createdBy: ACTOR,
      rateLimitPerSecond: null,
      rateLimitBurst: null,
    });
  }
}

async function seedHistory(sql: Sql, now: Date): Promise<void> {
  const clock = await sql<{ definition: string }[]>`
    select pg_get_functiondef('ledger_now()'::regprocedure) as definition`;
  const monthStart = Date.UTC(now.getUTCFullYear(), now.getUTCMonth());
  const at = async (instant: Date) => {
    await sql.unsafe(`create or replace function ledger_now() returns timestamptz
      language sql as $$ select timestamptz '${instant.toISOString()}' $$`);
  };

  const month = (monthsBack: number) =>
    Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - monthsBack);

  await at(daysBefore(monthStart, 86));
  const { walletId } = await openWallet(sql, {
    walletId: randomUUID(),
    userId: 'demo',
    currency: 'USD',
    timezone: 'UTC',
    mode: 'live',
    actor: ACTOR,
  });
  await grant(sql, walletId, 'welcome', 15_000_000n, 'Welcome credit');
  await rentNumber(sql, walletId, new Date(month(2)));
  // The months before the last one are closed; the last one is for whoever tries it.
  let open = 3;
  for (const [index, { daysBeforeMonth, usage }] of HISTORY.entries()) {
    const past = daysBefore(monthStart, daysBeforeMonth);
    while (open > 1 && past.getTime() >= month(open - 1)) {
      await at(new Date(month(open - 1) + 2 * 3_600_000));
      await sql`select close_wallets(array[${walletId}::uuid],
        ${new Date(month(open)).toISOString().slice(0, 7)}, ledger_now())`;
      open -= 1;
    }
    // On the first day of a month its own history is minutes old, never in the future.
    await at(
      past.getTime() < monthStart
        ? past
        : new Date(Math.min(monthStart + index * 60_000, now.getTime())),
    );
    if (daysBeforeMonth === 9) {
      await grant(sql, walletId, 'beta', 20_000_000n, 'Thanks for testing the beta');
    }
    await charge(sql, walletId, `demo-${index + 1}`, usage);
  }
  for (let day = 0; monthStart + day * DAY_MS + 9 * 3_600_000 < now.getTime(); day += 1) {
    await at(new Date(monthStart + day * DAY_MS + 9 * 3_600_000));
    for (const [index, usage] of usageOfDay(day).entries()) {
      await charge(sql, walletId, `demo-${day}-${index}`, usage);
    }
  }
  await at(now);
  const expiresAt = new Date(now.getTime() + 21 * DAY_MS);
  await grant(sql, walletId, 'autumn', 2_500_000n, 'Autumn promotion', expiresAt);
  await sql.unsafe(clock[0]?.definition ?? '');
}

function daysBefore(monthStartMs: number, days: number): Date {
  return new Date(monthStartMs - days * DAY_MS + 11 * 3_600_000);
}

async function rentNumber(sql: Sql, walletId: string, startsAt: Date): Promise<void> {
  const terms = { kind: 'number', description: '+14155550198', monthlyMicros: 1_500_000n } as const;
  await addSubscription(sql, {
    walletId,
    subscriptionId: randomUUID(),
    key: ledgerKey('subscription', 'demo-number'),
    requestHash: requestHash({ ...terms, startsAt }),
    ...terms,
    startsAt,
    endsAt: null,
    actor: ACTOR,
  });
}

async function grant(
  sql: Sql,
  walletId: string,
  key: string,
  amountMicros: bigint,
  reason: string,
  expiresAt?: Date,
): Promise<void> {
  await grantCredit(sql, {
    walletId,
    key: ledgerKey('grant', key),
    requestHash: requestHash({ amountMicros, reason, expiresAt }),
    amountMicros,
    expiresAt,
    actor: ACTOR,
    detail: { reason },
  });
}

async function charge(
  sql: Sql,
  walletId: string,
  referenceId: string,
  asReported: Usage,
): Promise<void> {
  const usage = canonicalUsage(asReported);
  const prices = [compileRateCard(rateCardSchema.parse(defaultRateCard))];
  const rated = rate(prices, usage, { at: new Date(), timezone: 'UTC' });
  if (!rated.ok) {
    throw new Error(`the default card does not price the demo's ${usage.type}`);
  }
  await chargeWallet(sql, {
    walletId,
    key: ledgerKey(`usage:${usage.type}`, referenceId),
    requestHash: requestHash({ usage, occurredAt: null }),
    amountMicros: rated.amountMicros,
    overrun: 'refuse',
    occurredAt: null,
    actor: ACTOR,
    detail: { usage, units: usageUnits(usage).units, referenceId, breakdown: rated.breakdown },
  });
}
