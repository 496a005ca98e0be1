import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { rebuildRange, trialBalance } from '../../store/ledger.ts';
import type { WalletView } from '../../views/wallets.ts';
import { createStatements } from '../month/statements.ts';
import { createHoldSweeper } from './hold-sweeper.ts';
import { actor, createPricingWorld, type PricingWorld, startsAt } from './pricing.fixtures.ts';

let world: PricingWorld;

beforeAll(async () => {
  world = await createPricingWorld();
});

afterAll(() => world?.database.close());

beforeEach(() => world.setNow(startsAt));

afterEach(async () => {
  expect(await problems()).toEqual([]);
  const accounts = await trialBalance(world.database.owner);
  expect(accounts.reduce((sum, { journalMicros }) => sum + journalMicros, 0n)).toBe(0n);
});

/** What verification finds, but for top-ups, which come without a payment here. */
async function problems(): Promise<string[]> {
  return (await world.differences())
    .map(({ problem }) => problem)
    .filter((problem) => problem !== 'EVENT_WITHOUT_TOP_UP')
    .sort();
}

const inSeconds = (seconds: number) => new Date(world.now().getTime() + seconds * 1_000);

async function openedWallet(mode: 'live' | 'deferred' = 'live', paidMicros = 0n) {
  const wallet = await world.wallets.open({ userId: `user-${randomUUID()}`, mode }, actor);
  if (paidMicros > 0n) {
    await world.database.owner`
      select credit_wallet(w, 'top_up', ${randomUUID()}, sha256('paid'), ${paidMicros}, ${actor},
        null, '{}')
      from wallets w where w.id = ${wallet.walletId}`;
  }
  return wallet;
}

function grant(
  wallet: WalletView,
  amountMicros: bigint,
  expiresAt?: Date,
  key: string = randomUUID(),
) {
  return world.grants.grant({ wallet, amountMicros, key, reason: 'welcome', expiresAt }, actor);
}

/** Email costs $0.01 a recipient. */
function charge(wallet: WalletView, recipients: number, overrun: 'refuse' | 'arrears' = 'refuse') {
  const usage = { type: 'email', recipients } as const;
  return world.charging.charge({ wallet, usage, referenceId: randomUUID(), overrun }, actor);
}

async function authorize(wallet: WalletView, amountMicros: bigint): Promise<string> {
  const estimate = { amountMicros };
  const key = randomUUID();
  const answer = await world.holds.authorize({ wallet, key, estimate, ttlSeconds: 300 }, actor);
  expect.assert(answer.ok);
  return answer.holdId;
}

async function creditOf({ walletId }: WalletView) {
  const { balanceMicros, availableMicros, grantsMicros, grantsExpireAt } = await world.wallets.get({
    walletId,
  });
  return { balanceMicros, availableMicros, grantsMicros, grantsExpireAt };
}

async function grantsOf({ walletId }: WalletView) {
  const { grants } = await world.wallets.grants(walletId, {});
  return grants.map(({ seq, status, leftMicros, expiredMicros }) => {
    return { seq, status, leftMicros, expiredMicros };
  });
}

const sweeper = () =>
  createHoldSweeper({
    sql: world.database.app,
    intervalMs: 60_000,
    logger: createLogger('silent'),
  });

describe('a grant', () => {
  it('is there once, until it expires, whatever key it comes with again', async () => {
    const wallet = await openedWallet();
    const until = inSeconds(60);
    const answer = await grant(wallet, 50_000n, until, 'welcome');
    expect(answer).toMatchObject({ ok: true, replayed: false, seq: 2n, balanceMicros: 50_000n });
    expect(await creditOf(wallet)).toMatchObject({ grantsMicros: 50_000n, grantsExpireAt: until });
    expect(await grant(wallet, 50_000n, inSeconds(61), 'welcome')).toMatchObject({
      ok: false,
      code: 'KEY_REUSED',
    });
    expect(await grant(wallet, 50_000n, undefined, 'welcome')).toMatchObject({
      code: 'KEY_REUSED',
    });
    await world.wait(60);
    expect(await grant(wallet, 50_000n, until, 'welcome')).toEqual({ ...answer, replayed: true });
    await expect(grant(wallet, 50_000n, until)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      publicMessage: 'expiresAt: must be in the future',
    });
  });

  it('that expired is gone for every reader before anything was written, and stays so', async () => {
    const wallet = await openedWallet('live', 20_000n);
    await grant(wallet, 50_000n, inSeconds(60));
    await grant(wallet, 10_000n);
    await charge(wallet, 2);
    await world.wait(60);
    const seen = {
      balanceMicros: 30_000n,
      availableMicros: 30_000n,
      grantsMicros: 10_000n,
      grantsExpireAt: null,
    };
    const grants = [
      { seq: 4n, status: 'open', leftMicros: 10_000n, expiredMicros: 0n },
      { seq: 3n, status: 'expired', leftMicros: 0n, expiredMicros: 30_000n },
    ];
    expect(await creditOf(wallet)).toEqual(seen);
    expect(await grantsOf(wallet)).toEqual(grants);
    expect(await world.typesOf(wallet)).not.toContain('grant_expired');
    await sweeper().tick();
    expect(await world.typesOf(wallet)).toContain('grant_expired');
    expect(await creditOf(wallet)).toEqual(seen);
    expect(await grantsOf(wallet)).toEqual(grants);
    expect(await sweeper().tick()).toBe(0);
  });

  it('is listed newest first, page by page, with what has become of it', async () => {
    const wallet = await openedWallet();
    await grant(wallet, 10_000n);
    await grant(wallet, 10_000n, inSeconds(60));
    await charge(wallet, 1);
    const first = await world.wallets.grants(wallet.walletId, { limit: 1 });
    expect(first).toEqual({
      grants: [
        {
          seq: 3n,
          status: 'spent',
          grantedMicros: 10_000n,
          leftMicros: 0n,
          expiredMicros: 0n,
          expiresAt: inSeconds(60),
          grantedAt: world.now(),
          reason: 'welcome',
        },
      ],
      nextCursor: '3',
    });
    const rest = await world.wallets.grants(wallet.walletId, { limit: 1, cursor: '3' });
    expect(rest).toMatchObject({ grants: [{ seq: 2n, status: 'open' }], nextCursor: null });
  });
});

describe('a charge', () => {
  it('says what it burned of which grant, and so does its replay', async () => {
    const wallet = await openedWallet('live', 100_000n);
    await grant(wallet, 15_000n);
    await grant(wallet, 10_000n, inSeconds(60));
    await charge(wallet, 3);
    const [event] = (await world.wallets.events(wallet.walletId, { limit: 1 })).events;
    expect(event?.detail.grants).toEqual([
      { seq: '4', micros: '10000' },
      { seq: '3', micros: '15000' },
    ]);
    await charge(wallet, 3);
    const [paid] = (await world.wallets.events(wallet.walletId, { limit: 1 })).events;
    expect(paid?.detail).not.toHaveProperty('grants');
  });

  it('of many at once never burns credit twice', async () => {
    const wallet = await openedWallet('live', 100_000n);
    await grant(wallet, 35_000n, inSeconds(60));
    const answers = await Promise.all(Array.from({ length: 20 }, () => charge(wallet, 1)));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(13);
    expect(await creditOf(wallet)).toMatchObject({ balanceMicros: 5_000n, grantsMicros: 0n });
  });
});

describe('credit that a hold reserves', () => {
  it('outlives its expiry with the hold, does not busy the sweeper, and goes when the hold ends', async () => {
    const wallet = await openedWallet('live', 10_000n);
    await grant(wallet, 50_000n, inSeconds(60));
    const holdId = await authorize(wallet, 60_000n);
    await world.wait(61);
    expect(await grantsOf(wallet)).toMatchObject([{ status: 'held', leftMicros: 50_000n }]);
    await sweeper().tick();
    expect(await sweeper().tick()).toBe(0);
    expect(await problems()).toEqual([]);
    await world.holds.void({ holdId }, actor);
    expect(await creditOf(wallet)).toMatchObject({ balanceMicros: 10_000n, grantsMicros: 0n });
    await sweeper().tick();
    expect((await world.typesOf(wallet)).slice(-2)).toEqual(['hold_voided', 'grant_expired']);
  });

  it.each(['live', 'deferred'] as const)(
    'is burned by its capture, in a %s wallet',
    async (mode) => {
      const wallet = await openedWallet(mode, 10_000n);
      await grant(wallet, 50_000n, inSeconds(60));
      const holdId = await authorize(wallet, 60_000n);
      await world.wait(61);
      const usage = { type: 'email', recipients: 2 } as const;
      await world.holds.capture({ holdId, usage, overrun: 'refuse' }, actor);
      expect(await creditOf(wallet)).toMatchObject({ availableMicros: 10_000n, grantsMicros: 0n });
      expect(await grantsOf(wallet)).toMatchObject([{ status: 'expired', expiredMicros: 30_000n }]);
    },
  );

  it('comes back when a late record says less, and ends at once past its expiry', async () => {
    const wallet = await openedWallet('live', 30_000n);
    await grant(wallet, 50_000n, inSeconds(600));
    const holdId = await authorize(wallet, 60_000n);
    await world.holds.extend({ holdId, usageSoFar: { type: 'email', recipients: 6 } }, actor);
    await world.wait(310);
    expect(await creditOf(wallet)).toMatchObject({ balanceMicros: 20_000n, grantsMicros: 0n });
    const usage = { type: 'email', recipients: 2 } as const;
    const captured = await world.holds.capture({ holdId, usage, overrun: 'refuse' }, actor);
    expect(captured).toMatchObject({ ok: true, balanceMicros: 60_000n });
    expect(await creditOf(wallet)).toMatchObject({ grantsMicros: 30_000n });
    await world.wait(300);
    expect(await creditOf(wallet)).toMatchObject({ balanceMicros: 30_000n, grantsMicros: 0n });
  });
});

it('a deferred wallet burns credit when usage is reserved; its month settles no grant again', async () => {
  const wallet = await openedWallet('deferred');
  await grant(wallet, 50_000n, inSeconds(60));
  await charge(wallet, 2);
  await world.wait(60);
  expect(await creditOf(wallet)).toMatchObject({ availableMicros: 0n, balanceMicros: 20_000n });
  await charge(wallet, 1, 'arrears');
  await world.setNow(Date.parse('2026-11-02T00:00:00Z'));
  await world.database.owner`
    select close_wallets(array[${wallet.walletId}::uuid], '2026-10', ledger_now())`;
  expect(await creditOf(wallet)).toMatchObject({ availableMicros: 0n, balanceMicros: 0n });
  const [statement] = await createStatements({
    sql: world.database.app,
    appName: 'Prepaid Wallet',
  }).list(wallet.userId);
  expect(statement).toMatchObject({ grantsMicros: 20_000n, closingBalanceMicros: 20_000n });
});

it('verification finds credit that nobody would end, and what a hold burned; rebuilding mends the wallet', async () => {
  const wallet = await openedWallet();
  await grant(wallet, 50_000n, inSeconds(60));
  const { walletId } = wallet;
  const holdId = await authorize(wallet, 20_000n);
  await world.holds.capture(
    { holdId, usage: { type: 'email', recipients: 2 }, overrun: 'refuse' },
    actor,
  );
  await world.database.owner`update wallets set next_due_at = null where id = ${walletId}`;
  expect(await problems()).toEqual(['GRANT_DUE']);
  await world.database.owner`update wallets set next_due_at = ledger_now() where id = ${walletId}`;
  await world.database.owner`update holds set burned = '[]' where id = ${holdId}`;
  expect(await problems()).toEqual(['HOLD_BURNED']);
  await world.database.owner`
    update holds set burned = '[{"seq": "2", "micros": "20000"}]' where id = ${holdId}`;
  await world.database.owner`
    update wallets set grants_micros = 1, next_due_at = null where id = ${walletId}`;
  await world.database.owner`
    update grants set left_micros = 1, expires_at = null where wallet_id = ${walletId}`;
  expect(await problems()).toEqual(['GRANT_SUM', 'WALLET_GRANTS']);
  const range = { from: walletId, to: walletId };
  expect(await rebuildRange(world.database.owner, range, true)).toMatchObject({
    differences: [{ problem: 'WALLET_DIFFERS', repaired: true }],
  });
  expect(await rebuildRange(world.database.owner, range, true)).toMatchObject({ differences: [] });
  await world.wait(60);
  expect(await creditOf(wallet)).toMatchObject({ balanceMicros: 0n, grantsMicros: 0n });
});

it('the application cannot write a grant past its functions, and nobody can delete one', async () => {
  await grant(await openedWallet(), 1n);
  await expect(world.database.app`update grants set left_micros = 0`).rejects.toThrow(
    'permission denied',
  );
  await expect(world.database.owner`delete from grants`).rejects.toThrow('refused');
});
