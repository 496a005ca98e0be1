import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import { reratingDue } from '../../rating/rerating.ts';
import type { Usage } from '../../rating/usage.ts';
import { EVERY_WALLET, verifyRange } from '../../store/ledger.ts';
import type { ReratingTerms } from '../../store/reratings.ts';
import type { ReratingProgress } from '../../views/repricing.ts';
import type { WalletView } from '../../views/wallets.ts';
import { type Charging, createCharging } from '../charging/charging.ts';
import { createExplaining } from '../charging/explaining.ts';
import { createGrants, type Grants } from '../charging/grants.ts';
import { createHolds, type Holds } from '../charging/holds.ts';
import { createRefunds, type Refunds } from '../charging/refunds.ts';
import { createWallets, type Wallets } from '../wallets/wallets.ts';
import { createRateCards, type RateCards } from './rate-cards.ts';
import { createRehearsing } from './rehearsing.ts';
import { createRerating } from './rerating.ts';

const actor = 'support:ada';
const NOW = Date.parse('2026-06-10T12:00:00Z');
const june = { from: new Date('2026-06-01T00:00:00Z'), to: new Date('2026-07-01T00:00:00Z') };
/** $0.02 each by the default card. */
const sms = (segments: number): Usage => ({ type: 'sms', to: '+14155550132', segments });

let database: TestDatabase;
let cards: RateCards;
let wallets: Wallets;
let charging: Charging;
let grants: Grants;
let holds: Holds;
let refunds: Refunds;
let wallet: WalletView;
let version = 1;
let nowMs = NOW;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.close());

/** Every test has a month of its own wallets: others' usage would be re-rated as well. */
beforeEach(async () => {
  const sql = database.app;
  nowMs += 40 * 86_400_000;
  await setNow(nowMs);
  const now = () => new Date(nowMs);
  cards = createRateCards({ sql, nowMs: () => nowMs });
  wallets = createWallets(sql);
  charging = createCharging({ sql, rateCards: cards, now });
  grants = createGrants({ sql });
  holds = createHolds({ sql, rateCards: cards, now });
  refunds = createRefunds({ sql });
  wallet = await walletWith(10_000_000n);
});

async function setNow(atMs: number): Promise<void> {
  nowMs = atMs;
  await database.setClock(new Date(atMs).toISOString());
}

async function walletWith(
  amountMicros: bigint,
  mode: 'live' | 'deferred' = 'live',
): Promise<WalletView> {
  const opened = await wallets.open({ userId: `user-${randomUUID()}`, mode }, actor);
  if (amountMicros > 0n) {
    const grant = { wallet: opened, amountMicros, key: 'fund', reason: 'test' };
    await grants.grant(grant, actor);
  }
  return opened;
}

/** A published card that says another price of an SMS, for much later. */
async function cardWith(smsMicros: bigint): Promise<string> {
  version += 1;
  const id = randomUUID();
  const rules = defaultRateCard.rules.map((rule) =>
    rule.type === 'sms' ? { ...rule, pricePerUnitMicros: `${smsMicros}` } : rule,
  );
  const effectiveFrom = new Date(Date.UTC(2990, 0, version)).toISOString();
  await cards.publish({ ...defaultRateCard, id, version, effectiveFrom, rules }, actor);
  return id;
}

const span = () => ({ from: new Date(nowMs - 3_600_000), to: new Date(nowMs + 3_600_000) });

async function charge(segments = 5, referenceId: string = randomUUID(), of = wallet) {
  const answer = await charging.charge(
    { wallet: of, usage: sms(segments), referenceId, overrun: 'arrears' },
    actor,
  );
  expect.assert(answer.ok);
  return { ...answer, referenceId };
}

async function rerate(
  smsMicros: bigint,
  terms: Partial<ReratingTerms> = {},
  onProgress?: (progress: ReratingProgress) => boolean,
): Promise<ReratingProgress & { id: string; cardId: string }> {
  const cardId = terms.cardId ?? (await cardWith(smsMicros));
  const id = terms.id ?? randomUUID();
  const answer = await createRerating({ sql: database.app, rateCards: cards }).run(
    { id, cardId, ...span(), debits: true, reason: 'wrong price', ...terms },
    actor,
    onProgress,
  );
  expect.assert(answer.ok);
  return { ...answer.progress, id, cardId };
}

async function standing(of = wallet) {
  const view = await wallets.get({ walletId: of.walletId });
  expect.assert(view !== null);
  const { balanceMicros, heldMicros, arrearsMicros } = view;
  return { balanceMicros, heldMicros, arrearsMicros };
}

/** Everything that the ledger can check about itself. */
async function expectSound(): Promise<void> {
  expect(await verifyRange(database.owner, EVERY_WALLET, 10)).toMatchObject({
    found: 0n,
    differences: [],
  });
}

describe('a price that was too high', () => {
  it('gives the difference back, linked to the charge, once', async () => {
    const { seq } = await charge(5);
    const done = await rerate(15_000n);
    expect(done).toMatchObject({ usages: 1, credits: 1, creditedMicros: 25_000n, debits: 0 });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n - 75_000n });
    const again = await rerate(15_000n, { id: done.id, cardId: done.cardId });
    expect(again).toMatchObject({ credits: 0, creditedMicros: 0n });
    const [event] = await database.app`
      select detail from wallet_events where wallet_id = ${wallet.walletId} order by seq desc limit 1`;
    expect(event?.detail).toMatchObject({
      originalSeq: seq.toString(),
      reason: 'wrong price',
      rerating: { id: done.id, priceMicros: '75000' },
    });
    await expectSound();
  });

  it('repays arrears first, and gives promotional credit back as such', async () => {
    const poor = await walletWith(60_000n);
    await charge(5, 'r', poor);
    expect(await standing(poor)).toMatchObject({ balanceMicros: 0n, arrearsMicros: 40_000n });
    await rerate(10_000n);
    expect(await standing(poor)).toMatchObject({ balanceMicros: 10_000n, arrearsMicros: 0n });
    await expectSound();
  });

  it('is corrected for holds too, by the price of all their usage', async () => {
    const held = await holds.authorize(
      { wallet, key: 'h', estimate: { usage: sms(10) }, ttlSeconds: 60 },
      actor,
    );
    expect.assert(held.ok);
    await holds.capture({ holdId: held.holdId, usage: sms(4), overrun: 'refuse' }, actor);
    expect(await rerate(15_000n)).toMatchObject({ creditedMicros: 20_000n });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n - 60_000n });
    await expectSound();
  });
});

describe('a price that was too low', () => {
  it('is charged only when that is asked for', async () => {
    await charge(5);
    expect(await rerate(30_000n, { debits: false })).toMatchObject({ credits: 0, debits: 0 });
    expect(await rerate(30_000n)).toMatchObject({ debits: 1, debitedMicros: 50_000n });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n - 150_000n });
    await expectSound();
  });

  it('is owed where the wallet has nothing left', async () => {
    const poor = await walletWith(100_000n);
    await charge(5, 'r', poor);
    await rerate(30_000n);
    expect(await standing(poor)).toMatchObject({ balanceMicros: 0n, arrearsMicros: 50_000n });
    await expectSound();
  });

  it('is reserved until the month is closed where the wallet is deferred', async () => {
    const deferred = await walletWith(1_000_000n, 'deferred');
    await charge(5, 'r', deferred);
    await rerate(30_000n);
    expect(await standing(deferred)).toMatchObject({ heldMicros: 150_000n });
    await rerate(10_000n);
    await expectSound();
  });

  it('stays as it was where the wallet is frozen, and is charged when it is not', async () => {
    await charge(5);
    await wallets.changeStatus({ wallet, status: 'frozen', reason: 'test' }, actor);
    const done = await rerate(30_000n);
    expect(done).toMatchObject({ debits: 0, refused: { WALLET_FROZEN: 1 } });
    await wallets.changeStatus({ wallet, status: 'open', reason: 'test' }, actor);
    expect(await rerate(30_000n, { id: done.id, cardId: done.cardId })).toMatchObject({
      debitedMicros: 50_000n,
      refused: {},
    });
  });
});

describe('usage that was corrected before', () => {
  it('is posted the target less what was posted', async () => {
    await charge(5);
    await rerate(30_000n);
    expect(await rerate(10_000n)).toMatchObject({ credits: 1, creditedMicros: 100_000n });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n - 50_000n });
    expect(await rerate(20_000n)).toMatchObject({ debits: 1, debitedMicros: 50_000n });
    expect(await rerate(20_000n)).toMatchObject({ debits: 0, credits: 0 });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n - 100_000n });
    await expectSound();
  });

  it('can be refunded by what is left of it', async () => {
    const { referenceId } = await charge(5);
    await rerate(15_000n);
    const refund = { wallet, type: 'sms', referenceId, key: 'all', reason: 'test' } as const;
    expect(await refunds.refund(refund, actor)).toMatchObject({ amountMicros: 75_000n });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n });
  });
});

describe('a charge of a re-rating', () => {
  it.each(['live', 'deferred'] as const)(
    'is reached by a refund of its original, in part and in full, in a %s wallet',
    async (mode) => {
      const of = await walletWith(120_000n, mode);
      const { referenceId } = await charge(5, 'dear', of);
      await rerate(30_000n);
      expect(await standing(of)).toMatchObject({ arrearsMicros: 30_000n });
      const refund = { wallet: of, type: 'sms', referenceId, reason: 'test' } as const;
      const part = { ...refund, key: 'part', amountMicros: 120_000n };
      expect(await refunds.refund(part, actor)).toMatchObject({ ok: true, amountMicros: 120_000n });
      const tooMuch = { ...refund, key: 'more', amountMicros: 30_001n };
      expect(await refunds.refund(tooMuch, actor)).toMatchObject({ code: 'NOT_REFUNDABLE' });
      const rest = await refunds.refund({ ...refund, key: 'rest' }, actor);
      expect(rest).toMatchObject({ amountMicros: 30_000n });
      const after = await standing(of);
      expect(after.arrearsMicros).toBe(0n);
      expect(await wallets.get({ walletId: of.walletId })).toMatchObject({
        availableMicros: 120_000n,
      });
      expect(await refunds.refund(part, actor)).toMatchObject({ ok: true, replayed: true });
      await expectSound();
    },
  );

  it('is the late usage of a month that was closed', async () => {
    const { seq } = await charge(5);
    await setNow(nowMs + 31 * 86_400_000);
    await rerate(30_000n, { from: new Date(nowMs - 40 * 86_400_000) });
    const [debit, original] = await database.app`
      select occurred_at, recorded_at from wallet_events
      where wallet_id = ${wallet.walletId} and seq >= ${seq} order by seq desc`;
    expect(debit?.occurred_at).toEqual(original?.occurred_at);
    expect(debit?.recorded_at).toEqual(new Date(nowMs));
  });

  describe('for a hold that ran out', () => {
    async function ranOut(): Promise<string> {
      const held = await holds.authorize(
        { wallet, key: 'out', estimate: { usage: sms(10) }, ttlSeconds: 60 },
        actor,
      );
      expect.assert(held.ok);
      await holds.extend({ holdId: held.holdId, usageSoFar: sms(5) }, actor);
      await setNow(nowMs + 120_000);
      const grant = { wallet, amountMicros: 1n, key: 'after it', reason: 'test' };
      await grants.grant(grant, actor);
      expect(await rerate(30_000n)).toMatchObject({ debitedMicros: 50_000n });
      return held.holdId;
    }

    it('keeps only the share of what its late record says', async () => {
      const holdId = await ranOut();
      await holds.capture({ holdId, usage: sms(2), overrun: 'refuse' }, actor);
      expect(await standing()).toMatchObject({ balanceMicros: 10_000_001n - 60_000n });
      const refund = { wallet, type: 'sms', referenceId: 'out', key: 'k', reason: 'test' } as const;
      expect(await refunds.refund(refund, actor)).toMatchObject({ amountMicros: 60_000n });
      await expectSound();
    });

    it('is given back when nothing was delivered', async () => {
      await holds.void({ holdId: await ranOut() }, actor);
      expect(await standing()).toMatchObject({ balanceMicros: 10_000_001n });
      await expectSound();
    });
  });
});

describe('usage that was refunded', () => {
  it('is left alone when all of it was', async () => {
    const { referenceId } = await charge(5);
    await refunds.refund({ wallet, type: 'sms', referenceId, key: 'k', reason: 'test' }, actor);
    expect(await rerate(1_000n)).toMatchObject({ usages: 1, credits: 0 });
    expect(await rerate(90_000n)).toMatchObject({ debits: 0 });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n });
  });

  it('is priced again for the part that was not', async () => {
    const { referenceId } = await charge(5);
    const refund = { wallet, type: 'sms', referenceId, key: 'k', reason: 'test' } as const;
    await refunds.refund({ ...refund, amountMicros: 25_000n }, actor);
    expect(await rerate(10_000n)).toMatchObject({ creditedMicros: 37_500n });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n - 37_500n });
    await expectSound();
  });
});

describe('usage that was never delivered', () => {
  it('is not charged because its hold ran out before it was voided', async () => {
    const held = await holds.authorize(
      { wallet, key: 'voided', estimate: { usage: sms(10) }, ttlSeconds: 60 },
      actor,
    );
    expect.assert(held.ok);
    await holds.extend({ holdId: held.holdId, usageSoFar: sms(4) }, actor);
    await setNow(nowMs + 120_000);
    await holds.void({ holdId: held.holdId }, actor);
    expect(await rerate(30_000n)).toMatchObject({ usages: 0, debits: 0 });
    expect(await standing()).toMatchObject({ balanceMicros: 10_000_000n });
    await expectSound();
  });
});

it('usage that the card prices by what was used in its month is left as it is', async () => {
  version += 1;
  const id = randomUUID();
  const rules = defaultRateCard.rules.map((rule) =>
    rule.type === 'sms'
      ? { ...rule, monthlyTiers: [{ aboveUnits: 5, pricePerUnitMicros: '10000' }] }
      : rule,
  );
  const effectiveFrom = new Date(Date.UTC(2990, 0, version)).toISOString();
  await cards.publish({ ...defaultRateCard, id, version, effectiveFrom, rules }, actor);
  await charge(5);
  await charge(10);
  expect(await rerate(0n, { cardId: id })).toMatchObject({ withoutRate: 2, credits: 0, debits: 0 });
  await expectSound();
});

describe('a run', () => {
  it('that is stopped and begun again comes to the same as one that is not', async () => {
    const others = await Promise.all(Array.from({ length: 3 }, () => walletWith(10_000_000n)));
    for (const other of others) {
      for (let index = 0; index < 200; index += 1) await charge(1, `r${index}`, other);
    }
    const stopped = await rerate(10_000n, {}, () => false);
    expect(stopped.credits).toBe(500);
    const rest = await rerate(10_000n, { id: stopped.id, cardId: stopped.cardId });
    expect(rest).toMatchObject({ usages: 600, credits: 100 });
    for (const other of others) {
      expect(await standing(other)).toMatchObject({ balanceMicros: 8_000_000n });
    }
    await expectSound();
  });

  it('leaves usage of other times alone', async () => {
    await charge(5);
    expect(await rerate(10_000n, { from: new Date(nowMs + 1) })).toMatchObject({ usages: 0 });
    expect(await rerate(10_000n, { to: new Date(nowMs) })).toMatchObject({ usages: 0 });
    expect(await rerate(10_000n, { from: new Date(nowMs), to: new Date(nowMs + 1) })).toMatchObject(
      { usages: 1 },
    );
  });

  it('keeps its terms, and needs a published card', async () => {
    const { id, cardId } = await rerate(10_000n);
    const rerating = createRerating({ sql: database.app, rateCards: cards });
    const terms = { id, cardId, ...span(), debits: false, reason: 'another' };
    expect(await rerating.run(terms, actor)).toMatchObject({ code: 'KEY_REUSED' });
    expect(
      await rerating.run({ ...terms, id: randomUUID(), cardId: randomUUID() }, actor),
    ).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('posts what its preview says', async () => {
    await charge(5);
    const cardId = await cardWith(12_345n);
    const rerating = createRerating({ sql: database.app, rateCards: cards });
    const before = await standing();
    const preview = await rerating.preview({ cardId, ...span(), debits: false });
    expect(preview).toMatchObject({ beforeMicros: 100_000n, afterMicros: 61_725n, changed: 1 });
    expect(await standing()).toEqual(before);
    expect(await rerate(0n, { cardId, debits: false })).toMatchObject({ creditedMicros: 38_275n });
  });
});

it('an explained charge tells of its corrections', async () => {
  const { seq } = await charge(5);
  const { id } = await rerate(30_000n);
  const explaining = createExplaining({ sql: database.app, rateCards: cards });
  const [explained] = await explaining.explainEvents(wallet.walletId, [seq]);
  expect(explained).toMatchObject({
    matches: true,
    corrections: [{ reratingId: id, priceMicros: 150_000n, postedMicros: 50_000n, actor }],
  });
  const [debit] = await explaining.explainEvents(wallet.walletId, [seq + 1n]);
  expect(debit).toMatchObject({ matches: true, billedMicros: 50_000n, amountMicros: 150_000n });
});

it.each([
  ['what of it was re-rated', 'of_correction_micros = 0', 'REFUND_SUM'],
  ['the credit that it burns', `burned = '[]'`, 'REFUND_CREDIT'],
])('a refund of re-rated usage that was tampered with is found: %s', async (_, change, problem) => {
  const { seq, referenceId } = await charge(5);
  await rerate(30_000n);
  await refunds.refund(
    { wallet, type: 'sms', referenceId, key: 'k', amountMicros: 30_000n, reason: 'test' },
    actor,
  );
  const { owner } = database;
  const row = owner`wallet_id = ${wallet.walletId} and original_seq = ${seq}`;
  const [kept] = await owner<{ correction: bigint; burned: string }[]>`
    select of_correction_micros as correction, burned::text from usage_refunds where ${row}`;
  expect.assert(kept);
  await owner`update usage_refunds set ${owner.unsafe(change)} where ${row}`;
  const range = { from: wallet.walletId, to: wallet.walletId };
  const { differences } = await verifyRange(owner, range, 10);
  await owner`
    update usage_refunds set of_correction_micros = ${kept.correction},
      burned = ${kept.burned}::text::jsonb
    where ${row}`;
  expect(differences.map((difference) => difference.problem)).toEqual([problem]);
});

it.each([
  ['what it posted', 'update rerated_usage set posted_micros = posted_micros - 1'],
  ['that it posted at all', 'delete from rerated_usage'],
])('a re-rating that was tampered with is found: %s', async (_what, tampering) => {
  await charge(5);
  const { id } = await rerate(10_000n);
  const { owner } = database;
  await owner.unsafe('alter table rerated_usage disable trigger all');
  const copy = await owner`select * from rerated_usage where rerating_id = ${id}`;
  await owner.unsafe(`${tampering} where rerating_id = '${id}'`);
  const found = await verifyRange(owner, EVERY_WALLET, 10);
  await owner`delete from rerated_usage where rerating_id = ${id}`;
  await owner`insert into rerated_usage select * from jsonb_populate_recordset(
    null::rerated_usage, ${JSON.stringify(copy, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))}::text::jsonb)`;
  await owner.unsafe('alter table rerated_usage enable trigger all');
  expect(found.differences.map(({ problem }) => problem)).toEqual([
    expect.stringMatching(/^RERATING_/),
  ]);
});

it('the database and the specification say the same of what is due', async () => {
  const micros = fc.bigInt({ min: 0n, max: 10n ** 15n });
  await fc.assert(
    fc.asyncProperty(micros, micros, micros, micros, async (price, one, other, corrected) => {
      const [refundedMicros, billedMicros] = one < other ? [one, other] : [other, one];
      const [row] = await database.owner<{ due: bigint }[]>`
        select rerating_due(${price}, ${billedMicros}, ${refundedMicros}, ${corrected}) as due`;
      expect(row?.due).toBe(
        reratingDue(price, { billedMicros, refundedMicros, correctedMicros: corrected }),
      );
    }),
    { numRuns: 200 },
  );
});

describe('a rehearsal', () => {
  it('sets what customers would have paid beside what they did, and writes nothing', async () => {
    const other = await walletWith(1_000_000n);
    await charge(5);
    await charge(3);
    await charge(1, 'r', other);
    const draftId = randomUUID();
    await cards.drafts.create({ id: draftId, basedOn: defaultRateCard.id }, actor);
    const cheaper = {
      id: 'sms-any',
      type: 'sms',
      prefix: '',
      connectionFeeMicros: 30_000n,
      pricePerUnitMicros: 5_000n,
    } as const;
    await cards.drafts.changeRules(draftId, { put: [cheaper], remove: [] }, actor);
    const before = await standing();
    const rehearsing = createRehearsing({ sql: database.app, rateCards: cards });
    const totals = await rehearsing.rehearse({ cardId: draftId, ...span() });
    expect(totals).toMatchObject({
      customers: 2,
      changed: 2,
      usages: 3,
      beforeMicros: 180_000n,
      afterMicros: 55_000n + 45_000n + 35_000n,
      withoutRate: 0,
      gainers: [{ walletId: wallet.walletId, beforeMicros: 160_000n, afterMicros: 100_000n }],
      losers: [{ walletId: other.walletId, beforeMicros: 20_000n, afterMicros: 35_000n }],
    });
    expect(await standing()).toEqual(before);
  });

  it('names usage that the card has no rate for', async () => {
    await charge(5);
    await charging.charge(
      { wallet, usage: { type: 'email' }, referenceId: 'e', overrun: 'refuse' },
      actor,
    );
    const draftId = randomUUID();
    await cards.drafts.create({ id: draftId, basedOn: defaultRateCard.id }, actor);
    const remove = [{ type: 'sms', prefix: '' } as const];
    await cards.drafts.changeRules(draftId, { put: [], remove }, actor);
    const rehearsing = createRehearsing({ sql: database.app, rateCards: cards });
    expect(await rehearsing.rehearse({ cardId: draftId, ...span() })).toMatchObject({
      usages: 2,
      beforeMicros: 10_000n,
      afterMicros: 10_000n,
      withoutRate: 1,
      withoutRateMicros: 100_000n,
    });
    expect(await rehearsing.rehearse({ cardId: randomUUID(), ...june })).toBeNull();
  });
});
