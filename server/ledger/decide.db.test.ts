import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { streamEvents, verifyRange } from '../store/ledger.ts';
import { limitsOf } from '../store/limits.ts';
import { subscriptionsOf } from '../store/subscriptions.ts';
import { closingCommands, demandCommands, endedMonths } from './closing.fixtures.ts';
import { actor, identity } from './commands.fixtures.ts';
import {
  createDatabaseDecider,
  type DatabaseDecider,
  dateOf,
  topUpOf,
} from './database-decider.fixtures.ts';
import { type Command, decide } from './decide.ts';
import { settleDue } from './due.ts';
import { deltasOf } from './event-deltas.ts';
import { detailOf } from './event-detail.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { grantsMicros } from './grants.ts';
import { chainStart, eventHash, type StoredEvent } from './hash.ts';
import { commandOf, openings, type Step, steps } from './histories.fixtures.ts';
import { ledgerKey } from './key.ts';
import { limitStandings } from './limits.ts';
import { at, initialState, type OpenWallet, type WalletState } from './state.ts';
import { type StatementLine, StatementSums } from './statement.ts';

/** How many random histories a run tries. */
const histories = Number(process.env.LEDGER_RUNS ?? 300);
const startMs = Date.parse('2026-03-01T00:00:00Z');

let database: TestDatabase;
let execute: DatabaseDecider;
beforeAll(async () => {
  database = await createTestDatabase();
  execute = createDatabaseDecider(database, () => nowMs);
});
afterAll(() => database.close());

/** The instant of both worlds. */
let nowMs = startMs;

async function setNow(atMs: number): Promise<void> {
  nowMs = atMs;
  await database.setClock(new Date(atMs).toISOString());
}

/** What was refused by a spending limit at least once. */
const limited = new Set<Command['type']>();

/** A wallet as the decider has it, and the events it would write. */
interface Model {
  readonly walletId: string;
  state: WalletState;
  lastStep?: Step;
  readonly written: { readonly event: WalletEvent; readonly after: OpenWallet }[];
}

describe('the ledger of the database', () => {
  test('answers and writes what the decider says, for any history', {
    timeout: 60_000 + histories * 1_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 30, size: 'max' }), async (parts) => {
        const models = Array.from({ length: 3 }, (): Model => {
          return { walletId: randomUUID(), state: initialState, written: [] };
        });
        await setNow(startMs);
        for (const next of [...openings, ...parts.flat()]) {
          const model = models[next.wallet];
          expect.assert(model);
          await take(next, model);
        }
        for (const model of models) {
          await expectSameHistory(model);
        }
      }),
      { numRuns: histories },
    );
    // A handful of histories need not reach every refusal.
    if (histories >= 100) {
      const commands = ['authorize_hold', 'capture_hold', 'charge_wallet', 'extend_hold'];
      expect([...limited].sort()).toEqual(commands);
    }
    await database.setClock(null);
  });

  test('stops at the same limits, to the micro', async () => {
    const model: Model = { walletId: randomUUID(), state: initialState, written: [] };
    const most = 10n ** 18n;
    let reference = 0;
    const next = () => identity({ reference: reference++, plain: true }, {});
    const credit = (amountMicros: bigint): Command => {
      return { type: 'grant_credit', amountMicros, ...next() };
    };
    const charge = (amountMicros: bigint): Command => {
      return { type: 'charge_wallet', amountMicros, overrun: 'arrears', ...next() };
    };
    const commands = [
      {
        type: 'open_wallet',
        userId: 'user',
        currency: 'USD',
        timezone: 'UTC',
        mode: 'live',
        actor,
      } as const,
      ...[credit(most), credit(most), credit(1n), credit(1n)],
      ...[charge(most + 1n), charge(most), charge(most), charge(1n)],
      ...[charge(most), charge(most), charge(1n), charge(1n), charge(0n)],
    ];
    for (const command of commands) {
      await take({ type: 'command', wallet: 0, command }, model);
    }
    expect(model.state).toMatchObject({ balanceMicros: 0n, arrearsMicros: 2n * most + 1n });
    await expectSameHistory(model);
  });

  test('settles a closed month as the decider does', async () => {
    const model: Model = { walletId: randomUUID(), state: initialState, written: [] };
    const run = (command: Command) => take({ type: 'command', wallet: 0, command }, model);
    await setNow(Date.parse('2026-01-10T12:00:00Z'));
    await run({
      type: 'open_wallet',
      userId: 'user',
      currency: 'USD',
      timezone: 'UTC',
      mode: 'deferred',
      actor,
    });
    await run({
      type: 'grant_credit',
      amountMicros: 5n,
      ...identity({ reference: 0, plain: true }, [0]),
    });
    await run({
      type: 'charge_wallet',
      amountMicros: 7n,
      overrun: 'arrears',
      ...identity({ reference: 1, plain: true }, [1]),
    });
    await setNow(Date.parse('2026-02-02T00:00:00Z'));
    await closeMonths(model);
    expect(model.state).toMatchObject({ balanceMicros: 0n, heldMicros: 0n, arrearsMicros: 2n });
    await expectSameHistory(model);
  });

  test('counts a hold that a re-rating billed first as the re-rating was counted', async () => {
    const model: Model = { walletId: randomUUID(), state: initialState, written: [] };
    const run = (command: Command) => take({ type: 'command', wallet: 0, command }, model);
    const spent = async () =>
      (await limitsOf(database.app, model.walletId)).map(({ spentMicros }) => spentMicros);
    const next = (reference: number) => identity({ reference, plain: true }, {});
    const report = (to: string) => ({ usage: { type: 'call', to }, units: 0, breakdown: {} });
    const refund = (reference: number): Command => {
      const original = { chargeKey: next(0).key, holdKey: next(0).key, usageType: 'call' };
      return { type: 'refund_usage', ...next(reference), ...original, amountMicros: null };
    };
    await setNow(startMs);
    for (const opening of openings.slice(0, 2)) {
      await take(opening, model);
    }
    await run({
      type: 'authorize_hold',
      ...next(0),
      holdId: '0',
      amountMicros: 0n,
      usageType: 'call',
      destination: null,
      referenceId: 'ref-0',
      rateCardId: defaultRateCard.id,
      pricing: {},
      ttlSeconds: 60,
    });
    await run({
      type: 'extend_hold',
      holdId: '0',
      report: report('+14155550132'),
      amountMicros: 0n,
      addMicros: null,
      ttlSeconds: null,
      actor,
    });
    await setNow(startMs + 60_000);
    const limits = ['1415', '1900'].map((prefix) => {
      return { period: 'day', amountMicros: 5_000_000n, type: null, prefix } as const;
    });
    await run({ type: 'set_limits', limits, actor });
    await run({
      type: 'rerate_usage',
      reratingId: '0',
      cardId: defaultRateCard.id,
      debits: true,
      reason: 'cost nothing',
      originalSeq: 0n,
      billedMicros: 0n,
      priceMicros: 1_000_000n,
      breakdown: {},
      actor,
    });
    expect(await spent()).toEqual([1_000_000n, 0n]);
    await run(refund(1));
    expect(await spent()).toEqual([0n, 0n]);
    await run({
      type: 'capture_hold',
      ...next(2),
      holdId: '0',
      report: report('+19005550101'),
      amountMicros: 20_000n,
      overrun: 'refuse',
    });
    expect(await spent()).toEqual([20_000n, 0n]);
    await run(refund(3));
    expect(await spent()).toEqual([0n, 0n]);
    await expectSameHistory(model);
  });

  test('brings credit back once, also when a re-rating charges anew for what came back', async () => {
    const model: Model = { walletId: randomUUID(), state: initialState, written: [] };
    const run = (command: Command) => take({ type: 'command', wallet: 0, command }, model);
    const next = (reference: number) => identity({ reference, plain: true }, {});
    const charge = (reference: number): Command => {
      const asked = { amountMicros: 500_000n, overrun: 'refuse' } as const;
      return { type: 'charge_wallet', ...next(reference), ...asked };
    };
    const rerate = (number: number, priceMicros: bigint): Command => ({
      type: 'rerate_usage',
      reratingId: `${number}`,
      cardId: defaultRateCard.id,
      debits: true,
      reason: `wrong price ${number}`,
      originalSeq: 0n,
      billedMicros: 0n,
      priceMicros,
      breakdown: {},
      actor,
    });
    const original = { chargeKey: next(0).key, holdKey: next(0).key, usageType: 'call' };
    await setNow(startMs);
    for (const opening of openings.slice(0, 3)) {
      await take(opening, model);
    }
    await run(charge(0));
    await run(rerate(0, 0n));
    await run(charge(1));
    await run(rerate(1, 375_000n));
    await run({ type: 'refund_usage', ...next(2), ...original, amountMicros: null });
    expect((await grantsOf(model.walletId)).map(({ leftMicros }) => leftMicros)).toEqual([0n]);
    await expectSameHistory(model);
  });

  test.each([
    ['call', 'ref-1'],
    ['top_up', 'pi_3Nö\nx'],
    ['', ''],
  ])('makes the same key of %j and %j', async (kind, reference) => {
    const [row] = await database.app<{ key: string }[]>`
      select ledger_key(${kind}, ${reference}) as key`;
    expect(row?.key).toBe(ledgerKey(kind, reference));
  });
});

/** One step in both worlds; their answers are compared. */
async function take(next: Step, model: Model): Promise<void> {
  switch (next.type) {
    case 'wait':
      await setNow(nowMs + next.seconds * 1_000);
      return;
    case 'again':
      if (model.lastStep !== undefined) {
        await take(model.lastStep, model);
      }
      return;
    case 'set_overdraft':
      await database.owner`
        update wallets set overdraft_limit_micros = ${next.limitMicros} where id = ${model.walletId}`;
      if (model.state.opened) {
        model.state = { ...model.state, overdraftLimitMicros: next.limitMicros };
      }
      return;
    case 'close_months':
      await closeMonths(model);
      return;
    case 'command': {
      model.lastStep = next;
      const command = ownedBy(model, commandOf(next, nowMs, model.state));
      const decided = attempt(() => decide(command, model.state, nowMs));
      const answered = await execute(command, model.walletId);
      expect(answered).toEqual(decided?.outcome ?? 'NEVER_ALLOWED');
      const isRefused = answered !== 'NEVER_ALLOWED' && answered.code === 'LIMIT_EXCEEDED';
      if (isRefused && 'detail' in answered && answered.detail) {
        limited.add(command.type);
      }
      remember(model, decided?.events ?? []);
      return;
    }
    default: {
      const unknown: never = next;
      throw new TypeError(`unknown step ${String(unknown)}`);
    }
  }
}

/** The months that have ended are closed in both worlds. */
async function closeMonths(model: Model): Promise<void> {
  const { walletId, state, written } = model;
  if (!state.opened) {
    return;
  }
  const recorded = { walletId, state, past: written };
  const newest = endedMonths(recorded, nowMs).at(-1);
  if (newest === undefined) {
    return;
  }
  await database.owner`
    select close_wallets(array[${walletId}::uuid], ${newest.period}, ledger_now())`;
  const statements = await database.app<{ period: string; number: string }[]>`
    select period, number from statements where wallet_id = ${walletId}`;
  const numbers = new Map(statements.map(({ period, number }) => [period, number]));
  for (const command of closingCommands(recorded, nowMs, (period) => numbers.get(period) ?? '')) {
    remember(model, decide(command, model.state, nowMs).events);
  }
  expect.assert(model.state.opened);
  for (const command of demandCommands({ ...recorded, state: model.state }, nowMs)) {
    remember(model, decide(command, model.state, nowMs).events);
  }
}

/** The command with ids that no other wallet has. */
function ownedBy({ walletId, state }: Model, command: Command): Command {
  switch (command.type) {
    case 'open_wallet':
      return { ...command, userId: `user-${walletId}` };
    case 'apply_dispute':
      return { ...command, disputeId: `${command.disputeId}_${walletId}` };
    case 'apply_payment_refund': {
      const stripeRefundId = `${command.refundId}_${walletId}`;
      const detail = { ...command.detail, refundId: stripeRefundId };
      // Stripe answers with what our reservation asked for; what came before it is Stripe's own.
      const refunds = state.opened ? state.payments.refunds : new Map<string, never>();
      const stripesId = ledgerKey('payment_refund', stripeRefundId);
      const own = refunds.has(stripesId) ? undefined : refunds.get(command.refundId);
      return own === undefined
        ? { ...command, refundId: stripesId, detail }
        : { ...command, paymentKey: own.paymentKey, amountMicros: own.amountMicros, detail };
    }
    case 'add_subscription':
    case 'end_subscription':
      return { ...command, subscriptionId: ledgerKey(walletId, command.subscriptionId) };
    case 'rerate_usage':
      return { ...command, reratingId: ledgerKey(walletId, command.reratingId) };
    default:
      return 'holdId' in command
        ? { ...command, holdId: ledgerKey(walletId, command.holdId) }
        : command;
  }
}

function attempt<T>(decision: () => T): T | undefined {
  try {
    return decision();
  } catch (error) {
    if (error instanceof RangeError) {
      return undefined;
    }
    throw error;
  }
}

function remember(model: Model, events: readonly WalletEvent[]): void {
  for (const event of events) {
    const after = evolve(at(model.state, nowMs), event);
    model.written.push({ event, after });
    model.state = after;
  }
}

/** The database adds statements up as {@link StatementSums} does. */
async function expectSameStatement(walletId: string, stored: StoredEvent[]): Promise<void> {
  // Half of what the wallet used came late, as it were.
  const middle = stored[Math.floor(stored.length / 2)];
  const startsAt = new Date(Number((middle?.occurredAtMicroseconds ?? 0n) / 1_000n));
  const sums = new StatementSums(startsAt);
  for (const event of stored) {
    sums.add(event);
  }
  const figures = sums.figures();
  const [row] = await database.owner<Record<string, unknown>[]>`
    select top_ups::text as "topUps", grants::text, usage::text, fees::text, refunds::text,
      other::text, accrued::text, lines, accrued_lines as "accruedLines", late_lines as "lateLines"
    from statement_sums(${walletId}, 0, ${stored.length}, ${startsAt})`;
  const lines = (of: readonly StatementLine[] | null | undefined) =>
    (of ?? []).map((line) => ({ ...line, amountMicros: line.amountMicros.toString() }));
  expect(row).toEqual({
    topUps: `${figures?.topUpsMicros ?? 0n}`,
    grants: `${figures?.grantsMicros ?? 0n}`,
    usage: `${figures?.usageMicros ?? 0n}`,
    fees: `${figures?.feesMicros ?? 0n}`,
    refunds: `${figures?.refundsMicros ?? 0n}`,
    other: `${figures?.otherMicros ?? 0n}`,
    accrued: `${figures?.accruedMicros ?? 0n}`,
    lines: lines(figures?.lines),
    accruedLines: lines(figures?.accruedLines),
    lateLines: lines(figures?.lateLines),
  });
}

/** Times aside, the stored events and wallet are the decider's, and their chain is unbroken. */
async function expectSameHistory({ walletId, state, written }: Model): Promise<void> {
  const stored = await eventsOf(walletId);
  expect(stored.map(comparable)).toEqual(
    written.map(({ event, after }) => ({
      type: event.type,
      ...deltasOf(event),
      seq: after.seq,
      balanceMicros: after.balanceMicros,
      heldMicros: after.heldMicros,
      arrearsMicros: after.arrearsMicros,
      overdraftLimitMicros: after.overdraftLimitMicros,
      key: 'key' in event ? event.key : null,
      requestHash: 'requestHash' in event ? event.requestHash : null,
      actor: event.actor,
      detail: detailOf(event),
    })),
  );

  let head: Uint8Array = chainStart;
  for (const event of stored) {
    head = eventHash(head, event);
    expect(event.hash).toBe(Buffer.from(head).toString('hex'));
  }

  await expectSameStatement(walletId, stored);

  const [row] = await database.app<Record<string, unknown>[]>`
    select currency, timezone, mode, status, limited, seq, balance_micros as "balanceMicros",
      held_micros as "heldMicros", arrears_micros as "arrearsMicros",
      overdraft_limit_micros as "overdraftLimitMicros", head_hash as head,
      grants_micros as "grantsMicros"
    from wallets where id = ${walletId}`;
  if (!state.opened) {
    expect(row).toBeUndefined();
    return;
  }
  const { opened, answers, holds, originals, payments, grants, limits, usage, atMs, ...rest } =
    state;
  const { subscriptions, demand, monthlyUnits, ...projected } = rest;
  expect(opened).toBe(true);
  expect(answers.size).toBe(stored.filter(({ key }) => key !== null).length);
  expect(row).toEqual({
    ...projected,
    grantsMicros: grantsMicros(state),
    limited: limits.length > 0,
    head: Buffer.from(head),
  });
  expect(await grantsOf(walletId)).toEqual([...grants.values()]);
  await expectSameLimits(walletId, at(state, nowMs));
  const holdRows = await holdsOf(walletId);
  expect(holdRows).toEqual([...holds.values()].sort((a, b) => (a.holdId < b.holdId ? -1 : 1)));
  const refundRows = await database.app`
    select original_seq as seq, refunded_micros as "refundedMicros"
    from usage_refunds where wallet_id = ${walletId} and refunded_micros > 0`;
  expect(new Map(refundRows.map(({ seq, refundedMicros }) => [seq, refundedMicros]))).toEqual(
    originals.refunded,
  );
  expect(await moneyBackOf(walletId)).toEqual({
    refunds: [...payments.refunds.values()]
      .map(({ refundId, amountMicros, failed }) => ({ refundId, amountMicros, failed }))
      .sort((a, b) => (a.refundId < b.refundId ? -1 : 1)),
    disputes: [...payments.disputes.values()]
      .map(({ paymentKey, ...dispute }) => ({ ...dispute, topUpId: topUpOf(walletId, paymentKey) }))
      .sort((a, b) => (a.disputeId < b.disputeId ? -1 : 1)),
  });
  expect(await subscriptionsOf(database.app, walletId)).toEqual(
    [...subscriptions.values()].map(({ startsAtMs, endsAtMs, billedToMs, ...subscription }) => ({
      ...subscription,
      startsAt: new Date(startsAtMs),
      endsAt: dateOf(endsAtMs),
      billedTo: dateOf(billedToMs),
    })),
  );
  const demands = await database.app`
    select (extract(epoch from suspend_at) * 1000)::float8 as "suspendAtMs", suspends
    from wallet_arrears where wallet_id = ${walletId}`;
  expect([...demands]).toEqual(demand === null ? [] : [demand]);
  const counters = await database.app<{ counter: string; units: number; startsAt: Date }[]>`
    select counter, units::float8 as units, month_starts_at as "startsAt"
    from monthly_units where wallet_id = ${walletId}`;
  expect(
    new Map(
      counters.map(({ counter, units, startsAt }) => {
        return [counter, { startsAtMs: startsAt.getTime(), units }];
      }),
    ),
  ).toEqual(monthlyUnits);
  await expectSameView(walletId, state);
  const verified = await verifyRange(database.owner, { from: walletId, to: walletId }, 1_000);
  // Here top-ups come without a payment, and a limit is set without an event.
  const expected = ['EVENT_WITHOUT_TOP_UP', 'TOP_UP_DIFFERS', 'WALLET_OVERDRAFT'];
  expect(verified.differences.filter(({ problem }) => !expected.includes(problem))).toEqual([]);
}

/** What a reader is shown later is what settling would write. */
async function expectSameView(walletId: string, state: OpenWallet): Promise<void> {
  const lastMs = nowMs;
  for (const laterMs of [20_000, 70_000]) {
    await setNow(lastMs + laterMs);
    const settled = settleDue(state, nowMs).reduce(evolve, state);
    const [row] = await database.app<Record<string, unknown>[]>`
      select w.balance_micros as "balanceMicros", w.held_micros as "heldMicros",
        w.arrears_micros as "arrearsMicros", w.grants_micros as "grantsMicros"
      from wallets stored cross join lateral wallet_now(stored) w where stored.id = ${walletId}`;
    const { balanceMicros, heldMicros, arrearsMicros } = settled;
    expect(row).toEqual({
      balanceMicros,
      heldMicros,
      arrearsMicros,
      grantsMicros: grantsMicros(settled),
    });
    const grants = await database.app<Record<string, unknown>[]>`
      select seq, left_micros as "leftMicros", expired_micros as "expiredMicros"
      from grants_now(${walletId}) order by seq`;
    expect(grants).toEqual(
      [...settled.grants.values()].map(({ seq, leftMicros, expiredMicros }) => {
        return { seq, leftMicros, expiredMicros };
      }),
    );
  }
  await setNow(lastMs);
}

/** Every limit stands where the decider has it, once what is due is settled. */
async function expectSameLimits(walletId: string, state: WalletState): Promise<void> {
  expect.assert(state.opened);
  const settled = settleDue(state, nowMs).reduce(evolve, state);
  const stored = await limitsOf(database.app, walletId);
  expect(stored.every(({ spentMicros }) => spentMicros >= 0n)).toBe(true);
  expect(stored).toEqual(
    limitStandings(settled, null).map(({ limit, resetsAtMs, ...standing }) => ({
      ...limit,
      ...standing,
      resetsAt: new Date(resetsAtMs),
    })),
  );
}

/** Inquiries are no events. */
async function moneyBackOf(walletId: string) {
  const refunds = await database.app`
    select r.id as "refundId", r.amount_micros as "amountMicros", r.debited_micros = 0 as failed
    from payment_refunds r
    where r.wallet_id = ${walletId} order by r.id`;
  const disputes = await database.app`
    select dispute_id as "disputeId", top_up_id as "topUpId", state,
      withdrawn_micros as "withdrawnMicros", reinstated_micros as "reinstatedMicros", freezes
    from payment_disputes
    where wallet_id = ${walletId} and state not in ('inquiry', 'inquiry_closed')
    order by dispute_id`;
  return { refunds: [...refunds], disputes: [...disputes] };
}

async function holdsOf(walletId: string) {
  const rows = await database.app<Record<string, unknown>[]>`
    select id as "holdId", reference_id as "referenceId", status, usage_type as "usageType",
      destination, pricing, placed_micros as "placedMicros", ahead_micros as "aheadMicros", held_micros as "heldMicros",
      report, amount_so_far_micros as "amountSoFarMicros", billed_micros as "billedMicros",
      burned, ttl_seconds as "ttlSeconds",
      (extract(epoch from placed_at) * 1000)::float8 as "placedAtMs",
      (extract(epoch from expires_at) * 1000)::float8 as "expiresAtMs"
    from holds where wallet_id = ${walletId} order by id`;
  return rows.map(({ burned, ...hold }) => ({
    ...hold,
    burned: (burned as { seq: string; micros: string }[]).map(({ seq, micros }) => ({
      seq: BigInt(seq),
      micros: BigInt(micros),
    })),
  }));
}

async function grantsOf(walletId: string) {
  return database.app<Record<string, unknown>[]>`
    select seq, granted_micros as "grantedMicros", left_micros as "leftMicros",
      expired_micros as "expiredMicros",
      (extract(epoch from expires_at) * 1000)::float8 as "expiresAtMs"
    from grants where wallet_id = ${walletId} order by seq`;
}

type Stored = Awaited<ReturnType<typeof eventsOf>>[number];

async function eventsOf(walletId: string) {
  const stored = [];
  for await (const events of streamEvents(database.app, walletId)) {
    stored.push(...events);
  }
  return stored;
}

function comparable(event: Stored) {
  const {
    walletId,
    occurredAtMicroseconds,
    recordedAtMicroseconds,
    detailText,
    hash,
    ...comparableFields
  } = event;
  return { ...comparableFields, detail: JSON.parse(detailText) as unknown };
}
