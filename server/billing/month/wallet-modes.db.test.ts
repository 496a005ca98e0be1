/** Live and deferred wallets through the whole use cases: prices, limits, holds, refunds, months. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createMonthScenario, type MonthScenario } from '../../dev/month-scenario.ts';
import { callRule } from '../../rating/rate.fixtures.ts';
import type { Usage } from '../../rating/usage.ts';
import { settleDueWallets } from '../../store/holds.ts';
import { verifyRange } from '../../store/ledger.ts';
import type { StatementView } from '../../views/statements.ts';
import type { WalletView } from '../../views/wallets.ts';
import { actor, createPricingWorld, type PricingWorld } from '../charging/pricing.fixtures.ts';
import { defaultPeriod } from './month.ts';
import { createSubscriptions, type Subscriptions } from './subscriptions.ts';

const startsAt = Date.parse('2026-12-20T12:00:00Z');
const HOUR_MS = 3_600_000;

let world: PricingWorld;
let scenario: MonthScenario;
let subscriptions: Subscriptions;

beforeAll(async () => {
  world = await createPricingWorld('2026-12-01T00:00:00Z');
  scenario = await createMonthScenario(world.database);
  subscriptions = createSubscriptions(world.database.app);
  await world.publish({
    alwaysConnect: ['112'],
    rules: [
      {
        ...callRule,
        connectionFeeMicros: '10000',
        initialSeconds: 60,
        nextSeconds: 6,
        windows: [{ from: '20:00', to: '08:00', pricePerMinuteMicros: '20000' }],
        monthlyTiers: [{ aboveUnits: 1_200, pricePerMinuteMicros: '33333' }],
      },
      {
        id: 'sms',
        type: 'sms',
        prefix: '',
        connectionFeeMicros: '0',
        pricePerUnitMicros: '20000',
        monthlyTiers: [{ aboveUnits: 4, pricePerUnitMicros: '15000' }],
      },
      {
        id: 'file',
        type: 'file_transfer',
        prefix: '',
        connectionFeeMicros: '0',
        pricePerUnitMicros: '500000',
        sizeTiers: [
          { upToBytes: 1_000, pricePerUnitMicros: '50000' },
          { upToBytes: null, pricePerUnitMicros: '700000' },
        ],
      },
    ],
  });
});

afterAll(() => world?.database.close());

const to = fc.constantFrom('+14155550132', '+442079460000', '+14155550132', '112');
const usages: fc.Arbitrary<Usage> = fc.oneof(
  fc.record({ type: fc.constant('call' as const), durationSeconds: fc.nat(1_500), to }),
  fc.record({ type: fc.constant('sms' as const), segments: fc.nat(6), to }),
  fc.record({ type: fc.constant('file_transfer' as const), bytes: fc.constantFrom(10, 5_000) }),
);
/** With few references the same one comes again with another request. */
const referenceId = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
const overrun = fc.constantFrom('refuse' as const, 'arrears' as const);

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        what: fc.constant('charge' as const),
        usage: usages,
        referenceId,
        overrun,
        // Usage may be told days after it happened, in the month before.
        lateHours: fc.constantFrom(0, 0, 0, 9, 300),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        what: fc.constant('refund' as const),
        amountMicros: fc.option(fc.bigInt({ min: 1n, max: 100_000n }), { nil: undefined }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        what: fc.constant('hold' as const),
        usage: usages,
        soFar: fc.nat(900),
        overrun,
        // What is left runs out, and its record comes late.
        end: fc.constantFrom('captured', 'captured', 'voided', 'left'),
      }),
    },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('late_record' as const), overrun }) },
    // As after a lost reply.
    { weight: 1, arbitrary: fc.record({ what: fc.constant('again' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        what: fc.constant('grant' as const),
        amountMicros: fc.bigInt({ min: 1n, max: 2_000_000n }),
        lastsHours: fc.constantFrom(undefined, 30, 400),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('limit' as const),
        period: fc.constantFrom('day' as const, 'month' as const),
        amountMicros: fc.constantFrom(200_000n, 1_000_000n, 50_000_000n),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('subscribe' as const),
        monthlyMicros: fc.constantFrom(1n, 999_999n, 3_000_000n),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        what: fc.constant('wait' as const),
        hours: fc.constantFrom(1, 7, 30, 400),
        closes: fc.boolean(),
      }),
    },
  ),
  { minLength: 12, maxLength: 30, size: 'max' },
);
type Step = typeof steps extends fc.Arbitrary<(infer One)[]> ? One : never;

/** Takes a step on one of the two wallets; returns what it is answered. */
async function take(step: Step, wallet: WalletView, key: string): Promise<unknown> {
  switch (step.what) {
    case 'charge': {
      const { usage, referenceId, overrun, lateHours } = step;
      const occurredAt = new Date(world.now().getTime() - lateHours * HOUR_MS);
      const answer = await world.charge(wallet, usage, { referenceId, overrun, occurredAt });
      if (answer.ok) charged.set(wallet.walletId, { usage, referenceId, overrun, occurredAt });
      return answer;
    }
    case 'refund': {
      const { usage, referenceId } = charged.get(wallet.walletId) ?? {};
      const { amountMicros } = step;
      const of = { type: usage?.type ?? 'fax', referenceId: referenceId ?? 'none' };
      return world.refunds.refund({ wallet, ...of, amountMicros, key, reason: 'test' }, actor);
    }
    case 'again': {
      const { usage, ...request } = charged.get(wallet.walletId) ?? {};
      return usage && world.charge(wallet, usage, request);
    }
    case 'hold':
      return hold(step, wallet, key);
    case 'late_record': {
      const ended = left.get(wallet.walletId);
      return ended && world.holds.capture({ ...ended, overrun: step.overrun }, actor);
    }
    case 'grant': {
      const { amountMicros, lastsHours } = step;
      const lasts = lastsHours !== undefined && {
        expiresAt: new Date(world.now().getTime() + lastsHours * HOUR_MS),
      };
      const grant = { wallet, amountMicros, key, reason: 'test', ...lasts };
      return world.grants.grant(grant, actor);
    }
    case 'limit': {
      const { period, amountMicros } = step;
      await world.limits.set(wallet, [{ period, amountMicros, type: null, prefix: null }], actor);
      return null;
    }
    case 'subscribe': {
      const { monthlyMicros } = step;
      const plan = { wallet, key, kind: 'plan', description: 'Plan', monthlyMicros } as const;
      const { ok } = await subscriptions.add(plan, actor);
      return ok;
    }
    case 'wait':
      return null;
    default: {
      const unknown: never = step;
      throw new TypeError(`unknown step ${String(unknown)}`);
    }
  }
}

/** Of each wallet the last charge that was taken. */
const charged = new Map<
  string,
  { usage: Usage; referenceId: string; overrun: 'refuse' | 'arrears'; occurredAt: Date }
>();
/** Of each wallet the hold that was left running, and its usage. */
const left = new Map<string, { holdId: string; usage: Usage }>();

async function hold(
  { usage, soFar, overrun, end }: Extract<Step, { what: 'hold' }>,
  wallet: WalletView,
  key: string,
): Promise<unknown> {
  const placed = await world.authorize(wallet, usage, key);
  if (!placed.ok) return placed;
  const { holdId } = placed;
  const usageSoFar = usage.type === 'call' ? { ...usage, durationSeconds: soFar } : usage;
  const beat = await world.holds.extend({ holdId, usageSoFar }, actor);
  if (end === 'left') {
    left.set(wallet.walletId, { holdId, usage });
    return [placed, beat];
  }
  const ended = await (end === 'voided'
    ? world.holds.void({ holdId }, actor)
    : world.holds.capture({ holdId, usage, overrun }, actor));
  return [placed, beat, ended];
}

/** Numbers of events, and of what stands in balance and held, are not alike. */
function comparable(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer, (name, value) =>
      ['seq', 'originalSeq', 'balanceMicros', 'holdId', 'grants'].includes(name)
        ? undefined
        : typeof value === 'bigint'
          ? `${value}`
          : value,
    ) ?? 'null',
  );
}

/** What was used in each month, deducted in it or, of a deferred wallet, in the next. */
function usageOf({ period, lines, accruedLines, grantsMicros }: StatementView) {
  const used = [...lines, ...accruedLines]
    .filter(({ count }) => count > 0)
    .sort((a, b) => a.type.localeCompare(b.type));
  return { period, used, grantsMicros };
}

it('the same usage, live and deferred: the same answers, available at every step, and months', {
  timeout: 180_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.constantFrom('UTC', 'America/New_York', 'Pacific/Kiritimati'),
      async (all, timezone) => {
        await world.setNow(startsAt);
        const both = [
          await world.walletWith(1_000_000n, { timezone, mode: 'live' }),
          await world.walletWith(1_000_000n, { timezone, mode: 'deferred' }),
        ] as const;
        for (const step of all) {
          const key = randomUUID();
          const [live, deferred] = [await take(step, both[0], key), await take(step, both[1], key)];
          expect(comparable(deferred)).toEqual(comparable(live));
          note(step, live);
          if (step.what === 'wait') {
            await world.setNow(world.now().getTime() + step.hours * HOUR_MS);
            if (step.closes)
              await scenario.run(world.now().toISOString(), defaultPeriod(world.now()));
          }
          await expectSame(both);
        }
        // What expires or runs out is written down before the last month is closed.
        await world.setNow('2028-12-15T00:00:00Z');
        await settleDueWallets(world.database.app, 1_000);
        await world.setNow('2029-01-02T00:00:00Z');
        await scenario.run('2029-01-02T00:00:00Z', '2028-12');
        await expectSame(both);
        const [live, deferred] = [await monthsOf(both[0]), await monthsOf(both[1])];
        expect(deferred.map(usageOf)).toEqual(live.map(usageOf));
        const [a, b] = [await world.wallets.get(both[0]), await world.wallets.get(both[1])];
        expect(b.balanceMicros, 'all that was reserved is deducted').toBe(a.balanceMicros);
        for (const [wallet, statements] of [
          [a, live],
          [b, deferred],
        ] as const) {
          await expectAddsUp(wallet, statements);
        }
      },
    ),
    { numRuns: Number(process.env.WALLET_MODE_RUNS ?? 20) },
  );
  expect([...reached]).toEqual(
    expect.arrayContaining([
      ...['charge ok', 'charge INSUFFICIENT_FUNDS', 'charge KEY_REUSED', 'again ok again'],
      ...['hold ok', 'refund ok', 'grant ok'],
    ]),
  );
});

/** What was answered at least once. */
const reached = new Set<string>();

function note({ what }: Step, answers: unknown): void {
  for (const answer of [answers].flat()) {
    const { ok, code, replayed } = (answer ?? {}) as Record<string, unknown>;
    reached.add([what, code ?? (ok ? 'ok' : 'nothing'), ...(replayed ? ['again'] : [])].join(' '));
  }
}

async function expectSame(both: readonly [WalletView, WalletView]): Promise<void> {
  const [live, deferred] = [await world.wallets.get(both[0]), await world.wallets.get(both[1])];
  const { availableMicros, arrearsMicros, grantsMicros, status } = live;
  expect(deferred).toMatchObject({ availableMicros, arrearsMicros, grantsMicros, status });
}

async function monthsOf({ userId }: WalletView): Promise<StatementView[]> {
  return (await scenario.statements.list(userId)).toReversed();
}

/** Opening and movements make the closing; all statements make the balance; and so does the ledger. */
async function expectAddsUp(wallet: WalletView, statements: StatementView[]): Promise<void> {
  let openingMicros = 0n;
  for (const statement of statements) {
    expect(statement.openingBalanceMicros).toBe(openingMicros);
    const { topUpsMicros, grantsMicros, usageMicros, feesMicros, refundsMicros, otherMicros } =
      statement;
    const moved =
      topUpsMicros + grantsMicros + usageMicros + feesMicros + refundsMicros + otherMicros;
    expect(statement.closingBalanceMicros).toBe(openingMicros + moved);
    openingMicros = statement.closingBalanceMicros;
  }
  const [row] = await world.database.app<{ late: bigint }[]>`
    select coalesce(sum(balance_delta_micros), 0)::bigint as late from wallet_events
    where wallet_id = ${wallet.walletId} and seq > ${statements.at(-1)?.toSeq ?? 0n}`;
  expect(openingMicros + (row?.late ?? 0n)).toBe(wallet.balanceMicros);
  const range = { from: wallet.walletId, to: wallet.walletId };
  expect((await verifyRange(world.database.owner, range, 5)).differences).toEqual([]);
}
