/** Holds that were placed before they had the key of their usage. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ledgerKey, requestHash } from '../../ledger/key.ts';
import { canonicalUsage, usageDestination } from '../../rating/usage.ts';
import { createOldDatabase, type OldDatabase } from '../../store/old-database.fixtures.ts';
import { only } from '../../store/sql.ts';
import { createRateCards } from '../rate-cards/rate-cards.ts';
import { createWallets } from '../wallets/wallets.ts';
import { createExplaining } from './explaining.ts';
import { createGrants } from './grants.ts';
import { createHolds } from './holds.ts';
import { actor, callOf } from './pricing.fixtures.ts';
import { createRefunds } from './refunds.ts';

let old: OldDatabase;

beforeAll(async () => {
  old = await createOldDatabase('_one_usage_bills_once.sql');
});

afterAll(() => old?.close());

it('stay idempotent, and are captured, explained and refunded by their reference', async () => {
  const sql = old.database.app;
  const rateCards = createRateCards({ sql, nowMs: Date.now });
  const now = () => new Date();
  const holds = createHolds({ sql, rateCards, now });
  const wallet = await createWallets(sql).open({ userId: 'old' }, actor);
  const grant = { wallet, amountMicros: 1_000_000n, key: 'fund', reason: 'test' };
  await createGrants({ sql }).grant(grant, actor);
  const estimate = { usage: callOf(60) };
  const request = { wallet, key: 'call-1', estimate, ttlSeconds: 300 };
  const holdId = randomUUID();
  const asked = { usage: canonicalUsage(estimate.usage), ttlSeconds: request.ttlSeconds };
  const [card] = await rateCards.pricesAt(wallet, now());
  await sql`
    select authorize_hold(${wallet.walletId}, ${holdId}, ${ledgerKey('hold', request.key)},
      ${requestHash(asked)}, 150000, ${request.key}, ${only(card).card.id}, 'call',
      ${usageDestination(estimate.usage) ?? null}, ${request.ttlSeconds}, ${actor}, '{}',
      ${sql.json({ at: now().toISOString() })})`;

  await old.upgrade();

  const again = await holds.authorize(request, actor);
  expect(again).toMatchObject({ ok: true, replayed: true, holdId, heldMicros: 150_000n });
  const longer = { ...request, ttlSeconds: 600 };
  expect(await holds.authorize(longer, actor)).toMatchObject({ code: 'KEY_REUSED' });
  const captured = await holds.capture({ holdId, overrun: 'refuse', usage: callOf(60) }, actor);
  expect.assert(captured.ok);
  const name = { type: 'call', referenceId: 'call-1' } as const;
  expect(await createExplaining({ sql, rateCards }).explain(wallet, name)).toMatchObject({
    charges: [{ holdId, seq: captured.seq, billedMicros: 150_000n }],
  });
  const refund = { wallet, ...name, key: 'refund-1', reason: 'test' };
  expect(await createRefunds({ sql }).refund(refund, actor)).toMatchObject({
    ...{ ok: true, amountMicros: 150_000n, originalSeq: captured.seq },
  });
});
