import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import type { Usage } from '../../rating/usage.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createRerating } from '../rate-cards/rerating.ts';
import { actor, callOf, createPricingWorld, type PricingWorld } from './pricing.fixtures.ts';

let world: PricingWorld;
let wallet: WalletView;

beforeAll(async () => {
  world = await createPricingWorld();
  await world.publish({
    alwaysConnect: ['112', '911', '116117'],
    rules: defaultRateCard.rules.filter(({ type }) => type !== 'fax'),
  });
});

afterAll(() => world?.database.close());

/** A wallet without money. */
beforeEach(async () => {
  wallet = await world.walletWith(0n);
});

const emergency = callOf(330, '112');
const free = { ok: true, amountMicros: 0n, balanceMicros: 0n, availableMicros: 0n };

async function become(status: 'open' | 'frozen' | 'closed'): Promise<void> {
  await world.wallets.changeStatus({ wallet, status, reason: 'test' }, actor);
}

describe('an emergency number is reached', () => {
  it('without funds, and the price is goodwill', async () => {
    const quoted = await world.charging.quote(wallet, emergency);
    const charged = await world.charge(wallet, emergency);
    const breakdown = { amountMicros: '0', goodwillMicros: '375000', ruleId: 'call-any' };
    expect(quoted).toMatchObject({ ok: true, amountMicros: 0n, breakdown });
    expect(charged).toMatchObject({ ...free, replayed: false, breakdown });
  });

  it('by a frozen wallet, and by a closed one', async () => {
    await become('frozen');
    expect(await world.charge(wallet, emergency)).toMatchObject(free);
    await become('open');
    await become('closed');
    expect(await world.charge(wallet, emergency)).toMatchObject(free);
  });

  it('beyond every limit', async () => {
    const limit = { period: 'day', amountMicros: 0n, type: null, prefix: null } as const;
    await world.limits.set(wallet, [limit], actor);
    expect(await world.charge(wallet, emergency)).toMatchObject(free);
  });

  it('without a price, which is nothing then', async () => {
    const fax: Usage = { type: 'fax', pages: 1, to: '911' };
    expect(await world.charge(wallet, { ...fax, to: '0911' })).toMatchObject({ code: 'NO_RATE' });
    const charged = await world.charge(wallet, fax);
    expect.assert(charged.ok);
    expect(charged).toMatchObject({ ...free, breakdown: { goodwillMicros: '0' } });
    const explained = await world.explaining.explain(wallet, { seq: charged.seq });
    expect(explained).toMatchObject({ charges: [{ matches: true, goodwillMicros: 0n }] });
  });

  it.each(['112', ' 1-1-2 ', 'tel:112', 'sip:112@pbx.example', '١١٢'])('written %j', async (to) => {
    expect(await world.charge(wallet, callOf(1, to))).toMatchObject(free);
  });

  it.each(['1123', '+112', '0112', '11'])('and %j is another number', async (to) => {
    expect(await world.charge(wallet, callOf(60, to))).toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
    });
  });

  it('once per key, like everything', async () => {
    const again = { referenceId: 'emergency-1' };
    const first = await world.charge(wallet, emergency, again);
    expect.assert(first.ok);
    expect(await world.charge(wallet, emergency, again)).toEqual({ ...first, replayed: true });
    expect(await world.charge(wallet, callOf(60), again)).toMatchObject({ code: 'KEY_REUSED' });
  });

  it('amid other charges of a batch, each with its own verdict', async () => {
    const item = (usage: Usage, referenceId: string) => {
      return { wallet, usage, referenceId, overrun: 'refuse' as const };
    };
    const answers = await world.charging.chargeBatch(
      [item(callOf(60), 'a'), item(emergency, 'b'), item(callOf(60), 'c')],
      actor,
    );
    expect(answers).toMatchObject([
      { code: 'INSUFFICIENT_FUNDS' },
      free,
      { code: 'INSUFFICIENT_FUNDS' },
    ]);
  });
});

describe('a call to an emergency number', () => {
  it('may always begin, go on and end, and is as long as it must be', async () => {
    await become('frozen');
    const placed = await world.authorize(wallet, emergency);
    expect.assert(placed.ok);
    const { holdId } = placed;
    expect(placed).toMatchObject({ heldMicros: 0n, maxSeconds: 2_678_400 });
    const heartbeat = { holdId, usageSoFar: callOf(30, '112'), addMicros: 1_000_000n };
    expect(await world.holds.extend(heartbeat, actor)).toMatchObject({
      ok: true,
      heldMicros: 0n,
      lowBalance: false,
      maxSeconds: 2_678_400,
    });
    const end = { holdId, usage: emergency, overrun: 'refuse' as const };
    const captured = await world.holds.capture(end, actor);
    expect(captured).toMatchObject({ ...free, breakdown: { goodwillMicros: '375000' } });
    expect(await world.holds.capture(end, actor)).toEqual({ ...captured, replayed: true });
  });

  it('that runs out books what it had reported, and a late record the difference', async () => {
    const before = (await world.accounts())['expenses:goodwill'] ?? 0n;
    const placed = await world.authorize(wallet, emergency, 'ran-out');
    expect.assert(placed.ok);
    const { holdId } = placed;
    await world.holds.extend({ holdId, usageSoFar: callOf(60, '112') }, actor);
    await world.setNow(world.now().getTime() + 400_000);
    await world.holds.capture({ holdId, usage: callOf(120, '112'), overrun: 'refuse' }, actor);
    expect((await world.accounts())['expenses:goodwill']).toBe(before - 200_000n);
    const explained = await world.explaining.explain(wallet, {
      type: 'call',
      referenceId: 'ran-out',
    });
    expect(explained).toMatchObject({
      charges: [
        { type: 'goodwill', goodwillMicros: 150_000n, matches: true },
        { type: 'goodwill', goodwillMicros: 200_000n, matches: true },
      ],
    });
  });

  it('stays goodwill when usage is priced again by a card without such numbers', async () => {
    const placed = await world.authorize(wallet, emergency);
    expect.assert(placed.ok);
    await world.holds.capture(
      { holdId: placed.holdId, usage: emergency, overrun: 'refuse' },
      actor,
    );
    const { walletId, seq } = await world.wallets.get(wallet);
    const terms = {
      id: randomUUID(),
      cardId: defaultRateCard.id,
      from: new Date(world.now().getTime() - 1_000),
      to: new Date(world.now().getTime() + 1_000),
      debits: true,
      reason: 'test',
    };
    const rerating = createRerating({ sql: world.database.app, rateCards: world.rateCards });
    expect(await rerating.run(terms, actor)).toMatchObject({ ok: true, progress: { debits: 0 } });
    expect(await world.wallets.get({ walletId })).toMatchObject({ seq, arrearsMicros: 0n });
  });
});

it('the books earn the price and give it away, and everything verifies', async () => {
  const before = await world.accounts();
  await world.charge(wallet, emergency);
  const after = await world.accounts();
  expect(after).toEqual({
    ...before,
    'expenses:goodwill': (before['expenses:goodwill'] ?? 0n) - 375_000n,
    'income:usage': (before['income:usage'] ?? 0n) + 375_000n,
  });
  expect(await world.differences()).toEqual([]);
});

it('the database takes no goodwill that moves money', async () => {
  await expect(
    world.database.owner`
      select append_event(w, 'goodwill', -1, 0, 0, gen_random_uuid(), sha256('a'), ${actor}, null, '{}')
      from wallets w where w.id = ${wallet.walletId}`,
  ).rejects.toThrow('wallet_events_goodwill_moves_nothing');
});
