/**
 * What a batch writes by sets must be what its writes are one after the other, whatever came before: credit
 * that expires and that open holds keep, usage that comes as a charge and as a hold, refunds, ended months.
 */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { WalletMode } from '../ledger/events.ts';
import { ledgerKey, requestHash, usageKey } from '../ledger/key.ts';
import { chargeMany, chargeWallet, type QueuedCharge } from './charges.ts';
import { grantCredit } from './grants.ts';
import { capture, placing, writeAlone } from './holds.fixtures.ts';
import { extendHolds, voidHolds, writeHolds } from './holds.ts';
import { EVERY_WALLET, verifyRange } from './ledger.ts';
import { refundUsage } from './refunds.ts';
import { actor, identity } from './wallets.fixtures.ts';
import { openWallet } from './wallets.ts';

const RUNS = Number(process.env.SETS_RUNS ?? 60);
/** Two waits of half a day end the month. */
const startMs = Date.parse('2026-03-31T06:00:00Z');
const monthEndMs = Date.parse('2026-04-01T00:00:00Z');

let database: TestDatabase;
let nowMs = startMs;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.close());

async function setNow(atMs: number): Promise<void> {
  nowMs = atMs;
  await database.setClock(new Date(atMs).toISOString());
}

/** Either of the two wallets of a side. */
const place = fc.constantFrom(0, 1);
const reference = fc.integer({ min: 0, max: 3 }).map(String);
const amountMicros = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt({ min: 0n, max: 30n }) },
  { weight: 1, arbitrary: fc.constantFrom(100n, 10n ** 18n) },
);
const overrun = fc.constantFrom('refuse' as const, 'refuse' as const, 'arrears' as const);
const used = { place, reference, amountMicros, overrun };
/** Calls may have been authorized before. */
const charges = fc.uniqueArray(
  fc.record({ type: fc.constantFrom('sms', 'sms', 'call'), ...used }),
  {
    selector: ({ place, type, reference }) => `${place} ${type} ${reference}`,
    minLength: 1,
    maxLength: 6,
  },
);
const holds = fc.array(
  fc.record({ kind: fc.constantFrom('authorize', 'capture'), ...used, ttlSeconds: ttls() }),
  { minLength: 1, maxLength: 6 },
);
const stepArbitrary = fc.oneof(
  { weight: 5, arbitrary: fc.record({ does: fc.constant('charge' as const), batch: charges }) },
  { weight: 5, arbitrary: fc.record({ does: fc.constant('hold' as const), batch: holds }) },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('extend' as const), ...used, ttlSeconds: ttls() }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('void' as const), place, reference }) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('refund' as const),
      ...{ place, reference, type: fc.constantFrom('sms', 'call') },
      amountMicros: fc.option(fc.bigInt({ min: 1n, max: 20n })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('grant' as const),
      ...{ place, micros: fc.bigInt({ min: 1n, max: 100n }) },
      seconds: fc.option(fc.constantFrom(5, 30, 100, 1_000)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('wait' as const),
      seconds: fc.constantFrom(1, 5, 30, 60, 300, 43_200),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ does: 'closeMonth' as const }) },
);
type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

function ttls() {
  return fc.constantFrom(10, 60, 300);
}

/** Two wallets, whose batches go by sets or one write after the other. */
interface Side {
  readonly walletIds: readonly string[];
  readonly bySets: boolean;
}

async function sideOf(modes: readonly WalletMode[], bySets: boolean): Promise<Side> {
  const walletIds = modes.map(() => randomUUID());
  for (const [index, walletId] of walletIds.entries()) {
    const about = { userId: `user-${walletId}`, currency: 'USD', timezone: 'UTC' };
    await openWallet(database.app, { walletId, ...about, mode: modes[index] ?? 'live', actor });
  }
  return { walletIds, bySets };
}

/** Ids are in the order of the references, in which holds run out that do so at once. */
const holdIdOf = (walletId: string, reference: string) =>
  `0000000${reference}${ledgerKey(walletId, reference).slice(8)}`;

const callAt = (amountMicros: bigint) => ({
  usage: { type: 'call' },
  units: 1,
  breakdown: { amountMicros: String(amountMicros) },
});

function chargesOf(step: Extract<Step, { does: 'charge' }>, { walletIds }: Side): QueuedCharge[] {
  return step.batch.map(({ place, type, reference, amountMicros, overrun }) => ({
    walletId: walletIds[place] ?? '',
    ...{ alone: false, amountMicros, overrun, occurredAt: null, actor },
    key: usageKey(type, reference),
    requestHash: requestHash({ amountMicros }),
    detail: { ...callAt(amountMicros), usage: { type } },
  }));
}

function holdsOf(step: Extract<Step, { does: 'hold' }>, { walletIds }: Side) {
  return step.batch.map(({ kind, place, reference, amountMicros, overrun, ttlSeconds }) => {
    const walletId = walletIds[place] ?? '';
    const holdId = holdIdOf(walletId, reference);
    return kind === 'authorize'
      ? placing(walletId, reference, amountMicros, { holdId, ttlSeconds })
      : capture(walletId, reference, amountMicros, { holdId, overrun });
  });
}

/** One write after the other. */
async function inTurn<Write, Outcome>(
  writes: readonly Write[],
  write: (one: Write) => Promise<Outcome>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const one of writes) {
    outcomes.push(await write(one));
  }
  return outcomes;
}

/** Takes a step, the `nth` of its side, and returns the answers to its writes. */
async function take(
  step: Step,
  side: Side,
  nth: number,
): Promise<readonly { code: string; seq: bigint }[]> {
  const { app, owner } = database;
  const walletId = 'place' in step ? (side.walletIds[step.place] ?? '') : '';
  const holdId = 'reference' in step ? holdIdOf(walletId, step.reference) : '';
  const of = { walletId, holdId, actor };
  switch (step.does) {
    case 'charge': {
      const batch = chargesOf(step, side);
      return side.bySets ? chargeMany(app, batch) : inTurn(batch, (one) => chargeWallet(app, one));
    }
    case 'hold': {
      const batch = holdsOf(step, side);
      return side.bySets ? writeHolds(app, batch) : inTurn(batch, (one) => writeAlone(app, one));
    }
    case 'extend': {
      const { amountMicros, ttlSeconds } = step;
      const report = callAt(amountMicros);
      return extendHolds(app, [{ ...of, report, amountMicros, addMicros: null, ttlSeconds }]);
    }
    case 'void':
      return voidHolds(app, [{ ...of, ...identity(`void ${step.reference}`) }]);
    case 'refund': {
      const { type, reference, amountMicros } = step;
      const original = {
        chargeKey: usageKey(type, reference),
        holdKey: ledgerKey('hold', reference),
        usageType: type,
      };
      const refund = { walletId, ...identity(`${nth}`), ...original, amountMicros, actor };
      return [await refundUsage(app, { ...refund, detail: {} })];
    }
    case 'grant': {
      const { micros, seconds } = step;
      const expiresAt = seconds === null ? null : new Date(nowMs + seconds * 1_000);
      const grant = { walletId, ...identity(`${nth}`), amountMicros: micros, expiresAt, actor };
      return [await grantCredit(app, { ...grant, detail: {} })];
    }
    case 'closeMonth':
      for (const id of nowMs < monthEndMs ? [] : side.walletIds) {
        await owner`select close_wallets(array[${id}::uuid], '2026-03', ledger_now())`;
      }
      return [];
    case 'wait':
      return [];
    default: {
      const unknown: never = step;
      throw new TypeError(`unknown step ${String(unknown)}`);
    }
  }
}

/** What is refused because its key or hold is spent is looked at last, so its figures are later ones. */
function comparable({ code, seq }: { code: string; seq: bigint }) {
  return code === 'OK' ? { code, seq } : { code };
}

/** Everything of a wallet but ids, hashes and keys (some are of ids) and what is numbered across wallets. */
async function stateOf(walletId = ''): Promise<unknown> {
  const [state] = await database.app`
    select to_jsonb(w) - array['id', 'user_id', 'head_hash'] as wallet,
      (select jsonb_agg(to_jsonb(e) - array['wallet_id', 'hash', 'key', 'request_hash', 'detail']
          || jsonb_build_object('detail', e.detail::jsonb - array['holdId', 'userId', 'statement'])
        order by e.seq) from wallet_events e where e.wallet_id = w.id) as events,
      (select jsonb_agg(to_jsonb(g) - 'wallet_id' order by g.seq)
       from grants g where g.wallet_id = w.id) as grants,
      (select jsonb_agg(to_jsonb(h) - array['id', 'wallet_id'] order by h.reference_id)
       from holds h where h.wallet_id = w.id) as holds,
      (select jsonb_agg(to_jsonb(s) - array['wallet_id', 'number', 'head_hash'] order by s.period)
       from statements s where s.wallet_id = w.id) as statements
    from wallets w where w.id = ${walletId}`;
  return state;
}

it('a batch is what its writes are one after the other, whatever came before', {
  timeout: 60_000 + RUNS * 2_000,
}, async () => {
  const modes = fc.tuple(
    fc.constantFrom<WalletMode>('live', 'deferred'),
    fc.constantFrom<WalletMode>('live', 'live', 'deferred'),
  );
  const steps = fc.array(stepArbitrary, { minLength: 8, maxLength: 40, size: 'max' });
  const ofAll = { does: 'grant' as const, micros: 150n };
  const opening = ([0, 1] as const).flatMap((place): Step[] => [
    { ...ofAll, place, seconds: null },
    { ...ofAll, place, seconds: 1_000 },
  ]);
  const met = new Set<string>();
  await fc.assert(
    fc.asyncProperty(modes, steps, async (modes, steps) => {
      await setNow(startMs);
      const together = await sideOf(modes, true);
      const apart = await sideOf(modes, false);
      for (const [nth, step] of [...opening, ...steps].entries()) {
        if (step.does === 'wait') {
          await setNow(nowMs + step.seconds * 1_000);
        }
        const answers = await take(step, together, nth);
        const expected = await take(step, apart, nth);
        expect(answers.map(comparable)).toEqual(expected.map(comparable));
        for (const { code } of answers) {
          met.add(`${step.does} ${code}`);
        }
      }
      for (const place of [0, 1]) {
        expect(await stateOf(together.walletIds[place])).toEqual(
          await stateOf(apart.walletIds[place]),
        );
      }
    }),
    { numRuns: RUNS },
  );
  // A handful of histories need not reach all that is rare.
  const rare = RUNS < 300 ? [] : ['extend OK', 'refund OK', 'void OK'];
  const reached = ['charge KEY_REUSED', 'charge OK', 'hold KEY_REUSED', 'hold OK', ...rare];
  expect([...met]).toEqual(expect.arrayContaining(reached));
  const { differences } = await verifyRange(database.owner, EVERY_WALLET, 1_000);
  expect(differences).toEqual([]);
});
