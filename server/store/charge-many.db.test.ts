import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiKeys } from '../billing/accounts/api-keys.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import type { WalletMode } from '../ledger/events.ts';
import { ledgerKey, requestHash, usageKey } from '../ledger/key.ts';
import { createLogger } from '../log.ts';
import { chargeMany, chargeWallet, type QueuedCharge, type QueuedOutcome } from './charges.ts';
import { placing } from './holds.fixtures.ts';
import { voidHolds, writeHolds } from './holds.ts';
import { EVERY_WALLET, verifyRange } from './ledger.ts';
import { connect } from './sql.ts';
import { actor, type Credit, fundedWallet, identity, walletOf } from './wallets.fixtures.ts';
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

const wallet = (micros: bigint) => fundedWallet(database, micros);

function charge(
  walletId: string,
  reference: string,
  amountMicros: bigint | null,
  change: Partial<QueuedCharge> = {},
): QueuedCharge {
  return {
    walletId,
    alone: false,
    key: ledgerKey('usage:sms', reference),
    requestHash: requestHash({ amountMicros }),
    amountMicros,
    overrun: 'refuse',
    occurredAt: null,
    actor: 'test:batch',
    detail: { reference, note: 'quotes " and \\ and {braces}, zwölf' },
    ...change,
  };
}

/** What two ways of charging must agree on. */
function comparable({ recordedAt: _, detail: __, ...outcome }: QueuedOutcome) {
  return outcome;
}

describe('charge_many', () => {
  it('answers and writes what charge_wallet would, one after the other', async () => {
    const step = fc.record({
      place: fc.constantFrom(0, 1),
      reference: fc.integer({ min: 0, max: 12 }).map(String),
      amountMicros: fc.option(
        fc.oneof(
          fc.bigInt({ min: 0n, max: 60n }),
          fc.constantFrom(2n ** 53n + 1n, 10n ** 18n, 10n ** 18n + 1n),
        ),
        { freq: 8, nil: null },
      ),
      overrun: fc.constantFrom('refuse' as const, 'arrears' as const),
    });
    const batches = fc.array(
      fc.uniqueArray(step, {
        selector: ({ place, reference }) => `${place} ${reference}`,
        maxLength: 12,
        minLength: 1,
      }),
      { minLength: 1, maxLength: 4 },
    );
    const credit = fc.record({
      type: fc.constantFrom('top_up' as const, 'grant' as const),
      micros: fc.oneof(fc.bigInt({ min: 1n, max: 100n }), fc.constant(10n ** 18n)),
    });
    const until = fc.option(fc.integer({ min: 2090, max: 2093 }), { nil: undefined });
    const kind = fc.record({
      credits: fc.array(
        fc
          .tuple(credit, until)
          .map(
            ([given, year]): Credit =>
              given.type === 'grant' && year !== undefined ? { ...given, until: year } : given,
          ),
        { maxLength: 4 },
      ),
      mode: fc.constantFrom<WalletMode>('live', 'live', 'deferred'),
      limitMicros: fc.constantFrom(null, null, null, 0n, 150n),
    });
    const history = fc.record({ batches, kinds: fc.tuple(kind, kind) });
    await fc.assert(
      fc.asyncProperty(history, async ({ batches, kinds }) => {
        const together = [await walletOf(database, kinds[0]), await walletOf(database, kinds[1])];
        const apart = [await walletOf(database, kinds[0]), await walletOf(database, kinds[1])];
        const charges = (wallets: readonly string[], batch: (typeof batches)[number]) =>
          batch.map(({ place, reference, amountMicros, overrun }) =>
            charge(wallets[place] ?? '', reference, amountMicros, { overrun }),
          );
        for (const batch of batches) {
          const many = await chargeMany(database.app, charges(together, batch));
          const single: QueuedOutcome[] = [];
          // Keys that are known are replays, whenever in the batch they are looked at.
          for (const one of charges(apart, batch)) {
            single.push(await chargeWallet(database.app, one));
          }
          expect(many.map(comparable)).toEqual(single.map(comparable));
        }
        for (const place of [0, 1]) {
          expect(await stateOf(together[place])).toEqual(await stateOf(apart[place]));
        }
      }),
      { numRuns: 80 },
    );
  });

  it('gives each charge of many wallets its own verdict, in order', async () => {
    const [rich, poor, empty] = [await wallet(1_000n), await wallet(15n), await wallet(0n)];
    const outcomes = await chargeMany(database.app, [
      charge(rich, 'a', 10n),
      charge(poor, 'a', 10n),
      charge(empty, 'a', 10n),
      charge(randomUUID(), 'a', 10n),
      charge(poor, 'b', 10n),
      charge(rich, 'b', 20n),
      charge(rich, 'c', null),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([
      'OK',
      'OK',
      'INSUFFICIENT_FUNDS',
      'WALLET_NOT_FOUND',
      'INSUFFICIENT_FUNDS',
      'OK',
      'NO_RATE',
    ]);
    const replays = await chargeMany(database.app, [
      charge(rich, 'd', 5n),
      charge(rich, 'a', 10n),
      charge(rich, 'b', 21n),
    ]);
    expect(replays.map(({ code, replayed }) => [code, replayed])).toEqual([
      ['OK', false],
      ['OK', true],
      ['KEY_REUSED', false],
    ]);
    expect(comparable(replays[1] as QueuedOutcome)).toEqual({
      ...comparable(outcomes[0] as QueuedOutcome),
      replayed: true,
    });
  });

  it('decides usage whose hold was voided in its turn', async () => {
    const walletId = await wallet(10n);
    const { app } = database;
    await writeHolds(app, [placing(walletId, 'a', 8n)]);
    const holdId = ledgerKey(walletId, 'a');
    await voidHolds(app, [{ walletId, holdId, ...identity('void'), actor }]);
    const outcomes = await chargeMany(app, [
      charge(walletId, 'a', 8n, { key: usageKey('call', 'a'), requestHash: requestHash({}) }),
      charge(walletId, 'b', 5n),
      charge(walletId, 'c', 2n),
    ]);
    expect(outcomes.map(({ code, balanceMicros }) => [code, balanceMicros])).toEqual([
      ['OK', 2n],
      ['INSUFFICIENT_FUNDS', 2n],
      ['OK', 0n],
    ]);
  });

  it('charges nothing for a key that is revoked', async () => {
    const apiKeys = createApiKeys({ sql: database.app, logger: createLogger('silent') });
    const live = await apiKeys.create({ name: 'live', scopes: ['all'], createdBy: 'test:batch' });
    const gone = await apiKeys.create({ name: 'gone', scopes: ['all'], createdBy: 'test:batch' });
    await apiKeys.revoke(gone.id);
    const walletId = await wallet(100n);
    const outcomes = await chargeMany(database.app, [
      charge(walletId, 'a', 10n, { actor: `api_key:${gone.id}` }),
      charge(walletId, 'b', 10n, { actor: `api_key:${live.id}` }),
    ]);
    expect(outcomes.map(({ code, balanceMicros }) => [code, balanceMicros])).toEqual([
      ['KEY_REVOKED', null],
      ['OK', 90n],
    ]);
  });

  it('charges nothing when the user has a second wallet by now and no currency is named', async () => {
    const walletId = await wallet(100n);
    const [opened] = await database.app<{ userId: string }[]>`
      select user_id as "userId" from wallets where id = ${walletId}`;
    const [before] = await chargeMany(database.app, [charge(walletId, 'a', 10n, { alone: true })]);
    await openWallet(database.app, {
      walletId: randomUUID(),
      userId: opened?.userId ?? '',
      currency: 'EUR',
      timezone: 'UTC',
      mode: 'live',
      actor: 'test:batch',
    });
    const after = await chargeMany(database.app, [
      charge(walletId, 'b', 10n, { alone: true }),
      charge(walletId, 'c', 10n),
    ]);
    expect(before?.code).toBe('OK');
    expect(after.map(({ code }) => code)).toEqual(['CURRENCY_REQUIRED', 'OK']);
  });

  it('shuffled batches of 32 clients neither deadlock nor lose a charge', async () => {
    const wallets = await Promise.all(Array.from({ length: 8 }, () => wallet(1_000_000n)));
    const clients = connect(database.ownerUrl, { role: 'wallet_app', max: 32 });
    try {
      const outcomes = await Promise.all(
        Array.from({ length: 32 }, (_, client) =>
          chargeMany(
            clients,
            wallets
              .map((walletId) => charge(walletId, `client-${client}`, 10n))
              .sort(() => Math.random() - 0.5),
          ),
        ),
      );
      expect(outcomes.flat().every(({ code }) => code === 'OK')).toBe(true);
    } finally {
      await clients.end({ timeout: 5 });
    }
    const rows = await database.app<{ seq: bigint; balance: bigint }[]>`
      select seq, balance_micros as balance from wallets where id::text in ${database.app(wallets)}`;
    expect(rows.map(({ seq, balance }) => [seq, balance])).toEqual(
      wallets.map(() => [34n, 1_000_000n - 320n]),
    );
  });
});

/** Everything of a wallet's events but ids, times and hashes, and what is left of its credit. */
async function stateOf(walletId = ''): Promise<unknown> {
  const events = await database.app`
    select seq, type, balance_delta_micros, held_delta_micros, arrears_delta_micros, balance_micros,
      held_micros, arrears_micros, key, request_hash, detail::text
    from wallet_events where wallet_id = ${walletId} and type <> 'wallet_opened' order by seq`;
  const grants = await database.app`
    select g.seq, g.left_micros, w.grants_micros
    from grants g join wallets w on w.id = g.wallet_id where w.id = ${walletId} order by g.seq`;
  return { events, grants };
}
