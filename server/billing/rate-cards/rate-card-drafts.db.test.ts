import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../dev/test-database.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { RateRuleJson } from '../../rating/rate-card.ts';
import { rateCardCsvHeader, rateCardCsvLine } from './rate-card-csv.ts';
import type { RateCardDrafts } from './rate-card-drafts.ts';
import type { RateCardRules } from './rate-card-rules.ts';
import { createRateCards, type RateCards } from './rate-cards.ts';

const actor = 'support:ada';
const NOW = Date.parse('2026-06-01T12:00:00Z');
const base = defaultRateCard.id;
const sms = (id: string, prefix: string, pricePerUnitMicros: bigint) =>
  ({ id, type: 'sms', prefix, connectionFeeMicros: 0n, pricePerUnitMicros }) as const;
const smsTo44 = sms('sms-uk', '44', 30_000n);

let database: TestDatabase;
let cards: RateCards;
let drafts: RateCardDrafts;
let rules: RateCardRules;
let nowMs = NOW;
let id: string;

beforeAll(async () => {
  database = await createTestDatabase();
  cards = createRateCards({ sql: database.app, nowMs: () => nowMs });
  ({ drafts, rules } = cards);
});

afterAll(() => database?.close());

beforeEach(async () => {
  nowMs += 3_600_000;
  await database.setClock(new Date(nowMs).toISOString());
  id = randomUUID();
  expect(await drafts.create({ id, basedOn: base }, actor)).toEqual({ ok: true });
});

const inAnHour = () => new Date(nowMs + 3_600_000);

async function rulesOf(cardId: string): Promise<RateRuleJson[]> {
  return (await rules.page(cardId, {}, { limit: 1000 })).rules;
}

async function revision(): Promise<number> {
  return (await drafts.get(id))?.revision ?? 0;
}

async function publish(): Promise<number> {
  const answer = await drafts.publish(
    { id, revision: await revision(), effectiveFrom: inAnHour() },
    actor,
  );
  expect.assert(answer.ok);
  return answer.version;
}

describe('a draft', () => {
  it('has the rules of the card that it is based on, and prices nothing', async () => {
    expect(await drafts.get(id)).toMatchObject({
      id,
      basedOn: base,
      revision: 1,
      ruleCount: defaultRateCard.rules.length,
      createdBy: actor,
      card: { name: 'Default prices', currency: 'USD', rounding: 'half_up' },
    });
    expect(await rulesOf(id)).toEqual(await rulesOf(base));
    expect(await cards.byId(id)).toBeNull();
  });

  it('may be asked for again, and not for another one under its id', async () => {
    await drafts.changeRules(id, { put: [smsTo44], remove: [] }, actor);
    expect(await drafts.create({ id, basedOn: base }, actor)).toEqual({ ok: true });
    expect(await rulesOf(id)).toHaveLength(defaultRateCard.rules.length + 1);
    const card = { name: 'New', currency: 'USD', rounding: 'up' } as const;
    expect(await drafts.create({ id, card }, actor)).toMatchObject({ code: 'ID_TAKEN' });
    expect(await drafts.create({ id: base, card }, actor)).toMatchObject({ code: 'ID_TAKEN' });
    expect(
      await drafts.create({ id: randomUUID(), card: { ...card, currency: 'XXX' } }, actor),
    ).toMatchObject({ code: 'UNKNOWN_CURRENCY' });
    expect(await drafts.create({ id: randomUUID(), basedOn: id }, actor)).toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('takes rules in the place of those of their target, and counts what it did', async () => {
    const put = [smsTo44, sms('sms-any', '', 1n)];
    const change = { put, remove: [{ type: 'fax', prefix: '' } as const] };
    const done = { ok: true, added: 1, changed: 1, removed: 1 };
    expect(await drafts.changeRules(id, change, actor)).toEqual(done);
    expect(await drafts.changeRules(id, change, actor)).toMatchObject({ added: 0, changed: 0 });
    expect(await revision()).toBe(2);
    expect((await rulesOf(id)).map((rule) => rule.id)).toEqual([
      'call-any',
      'email-any',
      'file-transfer-any',
      'sms-any',
      'sms-uk',
    ]);
  });

  it('keeps two rules from having one id, and changes nothing then', async () => {
    const before = await rulesOf(id);
    const put = [smsTo44, sms('fax-any', '45', 1n)];
    expect(await drafts.changeRules(id, { put, remove: [] }, actor)).toMatchObject({
      ok: false,
      code: 'RULE_ID_TAKEN',
      message: expect.stringContaining('fax-any'),
    });
    expect(await rulesOf(id)).toEqual(before);
    expect(await revision()).toBe(1);
  });

  it('lets two rules change their ids with each other', async () => {
    await drafts.changeRules(id, { put: [smsTo44], remove: [] }, actor);
    const swapped = [sms('sms-uk', '', 20_000n), sms('sms-any', '44', 30_000n)];
    expect(await drafts.changeRules(id, { put: swapped, remove: [] }, actor)).toMatchObject({
      changed: 2,
    });
  });

  it('may be named anew and rounded otherwise, in its currency', async () => {
    const card = { name: 'Autumn', currency: 'USD', rounding: 'up' } as const;
    expect(await drafts.describe(id, card, actor)).toEqual({ ok: true });
    expect(await drafts.get(id)).toMatchObject({ card, revision: 2 });
    expect(await drafts.describe(id, { ...card, currency: 'EUR' }, actor)).toMatchObject({
      code: 'CURRENCY_DIFFERS',
    });
  });

  it('is thrown away with its rules, once', async () => {
    expect(await drafts.discard(id, actor)).toBe(true);
    expect(await drafts.discard(id, actor)).toBe(false);
    expect(await drafts.get(id)).toBeNull();
    expect(await rulesOf(id)).toEqual([]);
    expect((await rules.log(id)).map(({ action }) => action)).toEqual(['discarded', 'drafted']);
  });
});

describe('publishing a draft', () => {
  it('makes it the next version of its currency, which prices from its date on', async () => {
    await drafts.changeRules(id, { put: [smsTo44], remove: [] }, actor);
    const before = (await cards.list()).length;
    expect(await publish()).toBe(before + 1);
    expect(await drafts.get(id)).toBeNull();
    expect(
      (await cards.pricesAt({ currency: 'USD', userId: 'anybody' }, new Date(nowMs)))[0]?.card.id,
    ).not.toBe(id);
    const [card] = await cards.pricesAt({ currency: 'USD', userId: 'anybody' }, inAnHour());
    expect(card?.card).toMatchObject({ id, version: before + 1 });
    expect(card?.card.rules).toContainEqual(smsTo44);
  });

  it('is answered alike when it is asked for again', async () => {
    const effectiveFrom = inAnHour();
    const again = { id, revision: await revision(), effectiveFrom };
    const first = await drafts.publish(again, actor);
    expect(await drafts.publish(again, actor)).toEqual(first);
    expect(
      await drafts.publish({ ...again, effectiveFrom: new Date(nowMs + 9e6) }, actor),
    ).toMatchObject({ code: 'ID_TAKEN' });
  });

  it('is refused for another revision than was looked at', async () => {
    const seen = await revision();
    await drafts.changeRules(id, { put: [smsTo44], remove: [] }, 'support:bob');
    expect(
      await drafts.publish({ id, revision: seen, effectiveFrom: inAnHour() }, actor),
    ).toMatchObject({ ok: false, code: 'DRAFT_CHANGED' });
  });

  it('is refused for the past, before the newest, and without rules', async () => {
    const at = async (effectiveFrom: Date) =>
      drafts.publish({ id, revision: await revision(), effectiveFrom }, actor);
    expect(await at(new Date(nowMs + 59_000))).toMatchObject({ code: 'EFFECTIVE_TOO_SOON' });
    const other = randomUUID();
    await drafts.create({ id: other, basedOn: base }, actor);
    await drafts.publish({ id: other, revision: 1, effectiveFrom: inAnHour() }, actor);
    expect(await at(inAnHour())).toMatchObject({ code: 'EFFECTIVE_BEFORE_NEWEST' });
    const remove = (await rulesOf(id)).map(({ type, prefix }) => ({ type, prefix }));
    await drafts.changeRules(id, { put: [], remove }, actor);
    expect(await at(new Date(nowMs + 7_200_000))).toMatchObject({ code: 'NO_RULES' });
  });

  it('puts its rules beyond the reach even of the database owner', async () => {
    await publish();
    const { owner } = database;
    const refused = /never change/;
    await expect(owner`delete from rate_card_rules where card_id = ${id}`).rejects.toThrow(refused);
    await expect(
      owner`insert into rate_card_rules values (${id}, 'sms', '1', 'x', '{}')`,
    ).rejects.toThrow(refused);
    await expect(owner`update rate_card_rules set prefix = '9'`).rejects.toThrow();
    expect(await drafts.changeRules(id, { put: [smsTo44], remove: [] }, actor)).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await drafts.discard(id, actor)).toBe(false);
  });

  it('puts its date, version and currency there too, and leaves the program no way around', async () => {
    await publish();
    const { owner, app } = database;
    const refused = /append-only/;
    await expect(
      owner`update rate_cards set effective_from = now() where id = ${id}`,
    ).rejects.toThrow(refused);
    await expect(owner`delete from rate_cards where id = ${id}`).rejects.toThrow(refused);
    for (const table of ['rate_cards', 'rate_card_rules', 'rate_card_log']) {
      await expect(owner.unsafe(`truncate ${table} cascade`)).rejects.toThrow(refused);
      await expect(app.unsafe(`delete from ${table}`)).rejects.toThrow(/permission denied/);
    }
  });

  it('leaves a log of who did what', async () => {
    await drafts.changeRules(id, { put: [smsTo44], remove: [] }, 'support:bob');
    await publish();
    expect(await rules.log(id)).toMatchObject([
      { action: 'published', actor, detail: { rules: 6 } },
      {
        action: 'rules_changed',
        actor: 'support:bob',
        detail: { added: 1, rules: [{ before: null, after: { id: 'sms-uk' } }] },
      },
      { action: 'drafted', actor, detail: { basedOn: base } },
    ]);
  });
});

describe('an import', () => {
  const csv = (...lines: string[]) => ['type,prefix,price_usd', ...lines].join('\n');

  it('replaces all rules, or merges with them', async () => {
    expect(
      await drafts.importCsv(id, { csv: csv('sms,44,0.03', 'sms,,0.02'), mode: 'merge' }, actor),
    ).toEqual({ ok: true, added: 1, changed: 0, removed: 0 });
    expect(await drafts.importCsv(id, { csv: csv('sms,44,0.04'), mode: 'replace' }, actor)).toEqual(
      { ok: true, added: 0, changed: 1, removed: 5 },
    );
    expect(await rulesOf(id)).toMatchObject([{ prefix: '44', pricePerUnitMicros: '40000' }]);
  });

  it('names every bad line and imports none of the others', async () => {
    const before = await rulesOf(id);
    const file = csv('sms,1,0.05', 'sms,x,0.05', 'sms,2,free');
    expect(await drafts.importCsv(id, { csv: file, mode: 'replace' }, actor)).toMatchObject({
      ok: false,
      code: 'INVALID_CSV',
      found: 2,
      problems: [{ line: 3 }, { line: 4 }],
    });
    expect(await rulesOf(id)).toEqual(before);
  });

  it('names a hundred bad lines and counts the rest', async () => {
    const file = csv(...Array.from({ length: 250 }, () => 'sms,x,1'));
    const answer = await drafts.importCsv(id, { csv: file, mode: 'merge' }, actor);
    expect.assert(!answer.ok && 'problems' in answer);
    expect(answer.found).toBe(250);
    expect(answer.problems).toHaveLength(100);
  });

  it('of an export changes nothing', async () => {
    await drafts.changeRules(id, { put: [smsTo44], remove: [] }, actor);
    let file = '';
    for await (const piece of rules.csv(id, 'USD')) file += piece;
    expect(file).toBe(
      [rateCardCsvHeader('USD'), ...(await rulesOf(id)).map(rateCardCsvLine), ''].join('\n'),
    );
    expect(await drafts.importCsv(id, { csv: file, mode: 'replace' }, actor)).toEqual({
      ok: true,
      added: 0,
      changed: 0,
      removed: 0,
    });
  });

  it('takes 100,000 prefixes in seconds, which are found by page, by prefix and by number', {
    timeout: 120_000,
  }, async () => {
    const lines = Array.from({ length: 100_000 }, (_, index) => `sms,${100_000 + index},0.01`);
    const startedAtMs = performance.now();
    await drafts.importCsv(id, { csv: csv('sms,,0.02', ...lines), mode: 'replace' }, actor);
    // Some 5 s by itself; the rest is for machines that have other work.
    expect(performance.now() - startedAtMs).toBeLessThan(30_000);
    expect((await drafts.get(id))?.ruleCount).toBe(100_001);
    const first = await rules.page(id, { type: 'sms', prefix: '10001' }, { limit: 6 });
    expect(first.rules.map(({ prefix }) => prefix)).toEqual([
      '100010',
      '100011',
      '100012',
      '100013',
      '100014',
      '100015',
    ]);
    const second = await rules.page(
      id,
      { type: 'sms', prefix: '10001' },
      { limit: 6, cursor: first.nextCursor ?? '' },
    );
    expect(second).toMatchObject({ rules: { length: 4 }, nextCursor: null });
    expect((await rules.forNumber(id, '+1 000 125-5501')).map(({ prefix }) => prefix)).toEqual([
      '100012',
    ]);
    expect((await rules.forNumber(id, '+49')).map(({ prefix }) => prefix)).toEqual(['']);
    await publish();
    const [card] = await cards.pricesAt({ currency: 'USD', userId: 'anybody' }, inAnHour());
    expect(card?.card.rules).toHaveLength(100_001);
  });
});
