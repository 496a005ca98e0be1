import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type StripeWorld,
  startStripeWorld,
  WORLD_SECRET_KEY,
} from '../billing/stripe-events/stripe-world.fixtures.ts';
import type { EnvSource } from '../env.ts';
import { captured, type Said } from './captured.fixtures.ts';
import { runReconcile } from './reconcile.ts';

const HOUR_MS = 3_600_000;
let world: StripeWorld;
let source: EnvSource;
let lost: { intentId: string; topUpId: string };

beforeAll(async () => {
  world = await startStripeWorld();
  source = {
    DATABASE_URL: world.database.ownerUrl,
    STRIPE_SECRET_KEY: WORLD_SECRET_KEY,
    STRIPE_API_BASE: world.standIn.url,
  };
  await world.pay(await world.start('credited', '10'));
  const started = await world.start('lost', '25');
  lost = { intentId: await world.pay(started), topUpId: started.topUpId };
  await world.arrived(lost.intentId, 'payment_intent.succeeded');
  await world.database.owner`
    update stripe_inbox set status = 'ignored' where object_id = ${lost.intentId}`;
  await world.applyInbox();
});
afterAll(() => world?.stop());

const at = (ms: number) => new Date(Date.now() + ms).toISOString();

function reconcile(
  args: string[] = ['--from', at(-HOUR_MS), '--to', at(HOUR_MS)],
  env: EnvSource = source,
): Promise<Said> {
  const clock = () => new Date(Date.now() + HOUR_MS);
  return captured((output) => runReconcile(args, env, output, clock));
}

describe('npm run reconcile', () => {
  it('lists every difference of its range with both sides and exits with 1, again and again', async () => {
    for (let time = 0; time < 2; time += 1) {
      const { code, out } = await reconcile();
      expect(code).toBe(1);
      expect(out).toContain(`${lost.intentId}  not_credited: paid at Stripe and not credited\n`);
      expect(out).toContain(`top-up ${lost.topUpId}\n`);
      expect(out).toContain('Stripe: status succeeded, amount 25.00 USD');
      expect(out).toMatch(
        /2 payments, 0 refunds, 0 disputes of Stripe's compared, 1 difference\n$/,
      );
    }
    expect(await world.balanceOf('lost')).toBe(0n);
  });

  it('writes one JSON object with --json', async () => {
    const { code, out } = await reconcile(['--json', '--from', at(-HOUR_MS), '--to', at(HOUR_MS)]);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      checked: { payment: 2, refund: 0, dispute: 0 },
      found: 1,
      differences: [{ kind: 'payment', objectId: lost.intentId, problem: 'not_credited' }],
    });
  });

  it('of a range without differences exits with 0, also as JSON', async () => {
    const empty = ['--from', '2026-01-01', '--to', '2026-01-02'];
    expect(await reconcile(empty)).toMatchObject({
      code: 0,
      out: "2026-01-01T00:00:00.000Z to 2026-01-02T00:00:00.000Z: 0 payments, 0 refunds, 0 disputes of Stripe's compared, 0 differences\n",
    });
    const { code, out } = await reconcile([...empty, '--json']);
    expect([code, JSON.parse(out)]).toMatchObject([0, { differences: [], found: 0 }]);
  });

  it('credits with --settle what Stripe says was paid, and then finds no difference', async () => {
    const range = ['--from', at(-HOUR_MS), '--to', at(HOUR_MS)];
    expect(await reconcile([...range, '--settle'])).toMatchObject({ code: 0 });
    expect(await world.balanceOf('lost')).toBe(25_000_000n);
    expect(await reconcile(range)).toMatchObject({ code: 0 });
    expect(await world.balanceOf('lost')).toBe(25_000_000n);
  });

  it.each([
    ['no range', []],
    ['half a range', ['--from', '2026-01-01']],
    ['a day that does not exist', ['--from', '2026-02-30', '--to', '2026-03-02']],
    ['a date in another form', ['--from', '01/02/2026', '--to', '2026-03-02']],
    ['a range that ends before it begins', ['--from', '2026-01-02', '--to', '2026-01-01']],
    ['an unknown option', ['--from', '2026-01-01', '--to', '2026-01-02', '--fix']],
    ['an argument', ['yesterday']],
  ])('with %s exits with 2 and says how it is used', async (_name, args) => {
    const { code, out, err } = await reconcile(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('npm run reconcile -- --from DATE --to DATE');
  });

  it('says which variable is missing, and that Stripe does not answer, without the key', async () => {
    const { STRIPE_SECRET_KEY: _, ...without } = source;
    expect(await reconcile(undefined, without)).toMatchObject({
      code: 1,
      err: expect.stringContaining('STRIPE_SECRET_KEY is missing'),
    });
    const gone = await reconcile(undefined, { ...source, STRIPE_API_BASE: 'http://127.0.0.1:1' });
    expect(gone).toMatchObject({ code: 1, err: expect.stringContaining('did not answer') });
    expect(gone.err).not.toContain(WORLD_SECRET_KEY);
  });
});
