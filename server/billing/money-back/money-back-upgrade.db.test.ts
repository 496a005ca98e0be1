/** Events of refunds and disputes that came before the wallet knew what to do with them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLogger } from '../../log.ts';
import { createOldDatabase, type OldDatabase } from '../../store/old-database.fixtures.ts';
import { createStripeDispatcher } from '../stripe-events/stripe-events.ts';

let old: OldDatabase;

beforeAll(async () => {
  old = await createOldDatabase('_money_back.sql');
});
afterAll(() => old?.close());

const KEPT = [
  ['evt_refund', 'refund.created', 'unhandled'],
  ['evt_dispute', 'charge.dispute.created', 'unhandled'],
  ['evt_warning', 'radar.early_fraud_warning.created', 'ignored'],
  ['evt_payment', 'payment_intent.succeeded', 'applied'],
  ['evt_payout', 'payout.paid', 'ignored'],
  ['evt_dead', 'payment_intent.succeeded', 'dead'],
] as const;

it('those that were kept as unhandled are sent to be applied again, and no others', async () => {
  const { owner, app } = old.database;
  for (const [id, type, status] of KEPT) {
    await owner`
      insert into stripe_inbox (
        event_id, type, object_id, livemode, payload, status, outcome, received_at, finished_at,
        next_dispatch_at
      ) values (
        ${id}, ${type}, 'object', false, '{}', ${status}, 'of then', now() - interval '30 days',
        now() - interval '30 days', now() - interval '30 days')`;
  }
  await old.upgrade();
  const sent: string[] = [];
  const dispatcher = createStripeDispatcher({
    sql: app,
    send: async ({ eventId }) => {
      sent.push(eventId);
    },
    intervalMs: 1_000,
    logger: createLogger('silent'),
  });
  await dispatcher.tick();
  expect(sent.toSorted()).toEqual(['evt_dispute', 'evt_refund', 'evt_warning']);
  const rows = await owner`
    select event_id as id, status, outcome, waiting_since > now() - interval '1 hour' as "isFresh"
    from stripe_inbox where event_id = any ('{evt_refund,evt_payment}') order by event_id`;
  expect(rows.map((row) => ({ ...row }))).toEqual([
    { id: 'evt_payment', status: 'applied', outcome: 'of then', isFresh: false },
    // It gets all the time that a new event has, before it waits for a person.
    { id: 'evt_refund', status: 'waiting', outcome: null, isFresh: true },
  ]);
});
