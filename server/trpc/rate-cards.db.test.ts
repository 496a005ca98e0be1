import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Scope } from '../billing/accounts/api-keys.ts';
import { createTestDatabase, type TestDatabase } from '../dev/test-database.ts';
import { defaultRateCard } from '../rating/default-rate-card.ts';
import { type TestCaller, testCaller, testServices } from './services.fixtures.ts';

let database: TestDatabase;
let callerWith: (scope: Scope) => TestCaller;
let api: TestCaller;

beforeAll(async () => {
  database = await createTestDatabase();
  const services = testServices(database.app);
  callerWith = (scope) => testCaller(services, scope);
  api = callerWith('all');
});
afterAll(() => database?.close());

it('drafts a card, fills it by the rule and by the file, and publishes it', async () => {
  const id = randomUUID();
  expect(await api.rateCards.createDraft({ id, basedOn: defaultRateCard.id })).toEqual({
    ok: true,
  });
  const rule = {
    id: 'sms-uk',
    type: 'sms',
    prefix: '44',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '30000',
  } as const;
  const remove = [{ type: 'fax', prefix: '' } as const];
  expect(await api.rateCards.putRules({ id, put: [rule], remove })).toEqual({
    ok: true,
    added: 1,
    changed: 0,
    removed: 1,
  });
  const csv = 'type,prefix,price_usd\nsms,49,0.04';
  expect(await api.rateCards.importCsv({ id, csv, mode: 'merge' })).toMatchObject({ added: 1 });
  expect(
    await api.rateCards.importCsv({ id, csv: `${csv}\nsms,x,1`, mode: 'merge' }),
  ).toMatchObject({ ok: false, code: 'INVALID_CSV', found: 1, problems: [{ line: 3 }] });
  const first = await api.rateCards.rules({ cardId: id, type: 'sms', limit: 2 });
  expect(first.rules.map(({ prefix }) => prefix)).toEqual(['', '44']);
  const cursor = first.nextCursor ?? '';
  expect(await api.rateCards.rules({ cardId: id, type: 'sms', limit: 2, cursor })).toMatchObject({
    rules: [{ prefix: '49', pricePerUnitMicros: '40000' }],
    nextCursor: null,
  });

  const { drafts } = await api.rateCards.drafts();
  expect(drafts).toMatchObject([{ id, ruleCount: 6, createdBy: 'api_key:key_test' }]);
  const effectiveFrom = '2999-01-01T00:00:00Z';
  const publish = { id, revision: drafts[0]?.revision ?? 0, effectiveFrom };
  expect(await api.rateCards.publishDraft({ ...publish, revision: 1 })).toMatchObject({
    code: 'DRAFT_CHANGED',
  });
  expect(await api.rateCards.publishDraft(publish)).toEqual({ ok: true, version: 2 });
  expect(await api.rateCards.publishDraft(publish)).toEqual({ ok: true, version: 2 });
  expect((await api.rateCards.list()).rateCards).toMatchObject([
    { version: 1, ruleCount: 5 },
    { id, version: 2, ruleCount: 6, publishedBy: 'api_key:key_test' },
  ]);
  expect(await api.rateCards.discardDraft({ id })).toEqual({ discarded: false });
});

it('names what is wrong with a rule, and lets readers only read', async () => {
  const id = randomUUID();
  const rule = { ...defaultRateCard.rules[1], prefix: '+44' } as never;
  await expect(api.rateCards.putRules({ id, put: [rule] })).rejects.toMatchObject({
    message: expect.stringContaining('must be digits alone'),
  });
  const reader = callerWith('rates:read');
  expect((await reader.rateCards.drafts()).drafts).toEqual([]);
  await expect(reader.rateCards.discardDraft({ id })).rejects.toMatchObject({ code: 'FORBIDDEN' });
});
