/** What `write_holds` writes by sets must be what its functions of one hold would write. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { WalletMode } from '../ledger/events.ts';
import { createLogger } from '../log.ts';
import { capture, placing, writeAlone } from './holds.fixtures.ts';
import { type HoldLedgerOutcome, type QueuedHoldOutcome, writeHolds } from './holds.ts';
import { EVERY_WALLET, verifyRange } from './ledger.ts';
import { connect } from './sql.ts';
import { actor, fundedWallet } from './wallets.fixtures.ts';
import { openWallet } from './wallets.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  const { differences } = await verifyRange(database.owner, EVERY_WALLET, 1_000);
  await database.close();
  // Here top-ups come without a payment.
  expect(differences.filter(({ problem }) => problem !== 'EVENT_WITHOUT_TOP_UP')).toEqual([]);
});

const reference = fc.integer({ min: 0, max: 6 }).map(String);
const amountMicros = fc.option(
  fc.oneof(
    fc.bigInt({ min: 0n, max: 60n }),
    fc.constantFrom(2n ** 53n + 1n, 10n ** 18n, 10n ** 18n + 1n),
  ),
  { freq: 8, nil: null },
);
const overrun = fc.constantFrom('refuse' as const, 'refuse' as const, 'arrears' as const);
const pricing = fc.constantFrom({}, {}, { unitsThisMonth: {} }, { goodwill: true });
/** Each makes the same write for either wallet. */
const placings = fc
  .tuple(reference, amountMicros, pricing)
  .map(([reference, amountMicros, pricing]) => (walletId: string) => {
    // Of one reference either all name the type of usage or none does.
    const usageType = Number(reference) % 2 === 0 ? 'call' : null;
    const change = { usageType, pricing };
    return 'goodwill' in pricing
      ? placing(walletId, reference, 0n, change)
      : placing(walletId, reference, amountMicros, change);
  });
const captures = fc
  .tuple(reference, amountMicros, overrun)
  .map(([reference, amountMicros, overrun]) => (walletId: string) => {
    return capture(walletId, reference, amountMicros, { overrun });
  });
const unsaid = reference.map((reference) => (walletId: string) => {
  return capture(walletId, reference, null, { report: null });
});
const writes = fc.oneof(
  { weight: 3, arbitrary: placings },
  { weight: 3, arbitrary: captures },
  { weight: 1, arbitrary: unsaid },
);
const histories = fc.record({
  batches: fc.array(fc.array(writes, { minLength: 1, maxLength: 8 }), {
    minLength: 1,
    maxLength: 5,
  }),
  fundsMicros: fc.constantFrom(0n, 100n, 100n, 10n ** 18n),
  mode: fc.constantFrom<WalletMode>('live', 'live', 'live', 'deferred'),
  type: fc.constantFrom('top_up' as const, 'top_up' as const, 'top_up' as const, 'grant' as const),
  limitMicros: fc.constantFrom(null, null, null, 0n, 150n),
});

describe('write_holds', () => {
  it('answers and writes what the functions of one hold would, one after the other', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ({ batches, fundsMicros, mode, type, limitMicros }) => {
        const about = [fundsMicros, mode, type, limitMicros] as const;
        const together = await fundedWallet(database, ...about);
        const apart = await fundedWallet(database, ...about);
        for (const batch of batches) {
          const many = await writeHolds(
            database.app,
            batch.map((write) => write(together)),
          );
          const single: HoldLedgerOutcome[] = [];
          for (const write of batch) {
            single.push(await writeAlone(database.app, write(apart)));
          }
          expect(many.map(comparable)).toEqual(single.map(comparable));
        }
        expect(await historyOf(together)).toEqual(await historyOf(apart));
        expect(await holdsOf(together)).toEqual(await holdsOf(apart));
      }),
      { numRuns: 150 },
    );
  });

  it('takes a hold and its end in turns, of many wallets, in the order of asking', async () => {
    const [rich, poor] = [await fundedWallet(database, 1_000n), await fundedWallet(database, 15n)];
    const placed = await writeHolds(database.app, [
      placing(rich, 'a', 10n),
      placing(poor, 'a', 10n),
      placing(randomUUID(), 'a', 10n),
      placing(poor, 'b', 10n),
      placing(rich, 'b', 20n),
    ]);
    expect(placed.map(({ code, seq }) => [code, seq])).toEqual([
      ['OK', 3n],
      ['OK', 3n],
      ['WALLET_NOT_FOUND', null],
      ['INSUFFICIENT_FUNDS', 3n],
      ['OK', 4n],
    ]);
    const next = await writeHolds(database.app, [
      capture(rich, 'a', 7n),
      placing(rich, 'c', 100n),
      capture(poor, 'a', 15n),
      placing(rich, 'a', 10n),
      capture(rich, 'b', 120n),
      capture(rich, 'nothing', 1n),
    ]);
    expect(
      next.map(({ code, replayed, heldMicros, balanceMicros }) => {
        return [code, replayed, heldMicros, balanceMicros];
      }),
    ).toEqual([
      ['OK', false, 20n, 993n],
      ['OK', false, 120n, 993n],
      ['OK', false, 0n, 0n],
      ['OK', true, 10n, 1_000n],
      ['OK', false, 100n, 873n],
      ['HOLD_NOT_FOUND', false, 100n, 873n],
    ]);
  });

  it('falls due when the first of its holds runs out', async () => {
    const walletId = await fundedWallet(database, 100n);
    const due = async () => {
      const [row] = await database.app<{ atMs: number }[]>`
        select extract(epoch from next_due_at)::float8 * 1000 as "atMs" from wallets
        where id = ${walletId}`;
      return row?.atMs;
    };
    const [, first] = await writeHolds(database.app, [
      placing(walletId, 'a', 1n),
      placing(walletId, 'b', 1n, { ttlSeconds: 60 }),
      placing(walletId, 'c', 1n, { ttlSeconds: 600 }),
    ]);
    const endsAtMs = first?.expiresAt?.getTime();
    expect(await due()).toBe(endsAtMs);
    await writeHolds(database.app, [placing(walletId, 'd', 1n)]);
    expect(await due()).toBe(endsAtMs);
  });

  it('writes nothing for a key that is revoked', async () => {
    const apiKeys = createApiKeys({ sql: database.app, logger: createLogger('silent') });
    const live = await apiKeys.create({ name: 'live', scopes: ['all'], createdBy: 'test:batch' });
    const gone = await apiKeys.create({ name: 'gone', scopes: ['all'], createdBy: 'test:batch' });
    await apiKeys.revoke(gone.id);
    const walletId = await fundedWallet(database, 100n);
    await writeHolds(database.app, [placing(walletId, 'before', 10n)]);
    const outcomes = await writeHolds(database.app, [
      placing(walletId, 'a', 10n, { actor: `api_key:${gone.id}` }),
      placing(walletId, 'b', 10n, { actor: `api_key:${live.id}` }),
      capture(walletId, 'before', 10n, { actor: `api_key:${gone.id}` }),
    ]);
    expect(outcomes.map(({ code, heldMicros }) => [code, heldMicros])).toEqual([
      ['KEY_REVOKED', null],
      ['OK', 20n],
      ['KEY_REVOKED', null],
    ]);
  });

  it('places nothing when the user has a second wallet by now and no currency is named', async () => {
    const walletId = await fundedWallet(database, 100n);
    const [before] = await writeHolds(database.app, [placing(walletId, 'a', 1n, { alone: true })]);
    await openWallet(database.app, {
      walletId: randomUUID(),
      userId: `user-${walletId}`,
      currency: 'EUR',
      timezone: 'UTC',
      mode: 'live',
      actor,
    });
    const after = await writeHolds(database.app, [
      placing(walletId, 'b', 1n, { alone: true }),
      placing(walletId, 'c', 1n),
      // It was placed when the name was clear.
      capture(walletId, 'a', 1n),
    ]);
    expect([before, ...after].map((outcome) => outcome?.code)).toEqual([
      'OK',
      'CURRENCY_REQUIRED',
      'OK',
      'OK',
    ]);
  });

  it('shuffled batches of 16 clients neither deadlock nor lose a hold', async () => {
    const wallets = await Promise.all(
      Array.from({ length: 8 }, () => fundedWallet(database, 1_000_000n)),
    );
    const clients = connect(database.ownerUrl, { role: 'wallet_app', max: 16 });
    const inTurn = async (client: number) => {
      const reference = `client-${client}`;
      const shuffled = () => wallets.toSorted(() => Math.random() - 0.5);
      const placed = await writeHolds(
        clients,
        shuffled().map((walletId) => placing(walletId, reference, 10n)),
      );
      const captured = await writeHolds(
        clients,
        shuffled().map((walletId) => capture(walletId, reference, 7n)),
      );
      return [...placed, ...captured];
    };
    try {
      const outcomes = await Promise.all(Array.from({ length: 16 }, (_, client) => inTurn(client)));
      expect(outcomes.flat().every(({ code }) => code === 'OK')).toBe(true);
    } finally {
      await clients.end({ timeout: 5 });
    }
    const rows = await database.app<{ seq: bigint; balance: bigint; held: bigint }[]>`
      select seq, balance_micros as balance, held_micros as held from wallets
      where id::text in ${database.app(wallets)}`;
    expect(rows).toEqual(wallets.map(() => ({ seq: 34n, balance: 999_888n, held: 0n })));
  });
});

/**
 * What two ways of writing must agree on: everything but ids and times, and the details, which stand in
 * the events. What is refused because its key or hold is spent already is looked at last, and so tells
 * of a wallet that has moved on.
 */
function comparable({ code, amountMicros, ...outcome }: HoldLedgerOutcome | QueuedHoldOutcome) {
  const { recordedAt: _, detail: __, expiresAt: ___, ...numbers } = { expiresAt: null, ...outcome };
  return code === 'OK' ? { code, amountMicros, ...numbers } : { code, amountMicros };
}

async function historyOf(walletId: string): Promise<unknown> {
  return database.app`
    select seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros, balance_micros,
      held_micros, arrears_micros, key, request_hash,
      (detail::jsonb - 'holdId' - 'expiresAt')::text as detail
    from wallet_events where wallet_id = ${walletId} and type <> 'wallet_opened' order by seq`;
}

async function holdsOf(walletId: string): Promise<unknown> {
  return database.app`
    select (to_jsonb(h) - array['id', 'wallet_id', 'placed_at', 'expires_at'])::text as hold
    from holds h where wallet_id = ${walletId} order by reference_id`;
}
