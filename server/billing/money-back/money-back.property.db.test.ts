/**
 * Whatever befalls payments at Stripe, whatever refunds are asked for here meanwhile, and in whatever
 * order, how late and how often Stripe's events come, the ledger ends as Stripe says that it is.
 */
import fc from 'fast-check';
import type Stripe from 'stripe';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StripeGateway } from '../../stripe/gateway.ts';
import { createStripeEvents } from '../stripe-events/stripe-events.ts';
import type { LedgerState, Payment } from './money-back.fixtures.ts';
import { disputeStateOf } from './money-back.ts';
import {
  type RefundProcess,
  type RefundWorld,
  requestOf,
  SUPPORT,
  startRefundWorld,
} from './payment-refunds.fixtures.ts';

/** How many random histories a run tries. */
const runs = Number(process.env.MONEY_BACK_RUNS ?? 30);

let world: RefundWorld;
let server: RefundProcess;
let users = 0;
beforeAll(async () => {
  world = await startRefundWorld();
  server = world.process();
});
afterAll(() => world?.stop());

/** How a refund is asked for here: by a process that dies of it, or met by a fault of Stripe. */
const askings = ['ask', 'ask and die', 'ask unheard', 'ask in vain'] as const;
const fates = [
  ...(['refund', 'refund', 'refund all', 'fail', 'dispute', 'dispute in part'] as const),
  ...(['inquiry', 'escalate', 'won', 'lost', 'warning_closed', 'warn', 'ask'] as const),
  ...askings,
];
type Happening = { readonly payment: number; readonly fate: (typeof fates)[number] };

interface Scenario {
  readonly amounts: readonly string[];
  readonly happenings: readonly Happening[];
  readonly seed: number;
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  amounts: fc.array(fc.constantFrom('10', '25.50', '99.99'), { minLength: 1, maxLength: 3 }),
  happenings: fc.array(fc.record({ payment: fc.nat(2), fate: fc.constantFrom(...fates) }), {
    minLength: 1,
    maxLength: 10,
  }),
  seed: fc.nat(),
});

/** Comes to every kind of event. */
const everything: Scenario = {
  amounts: ['10', '25.50'],
  happenings: [
    ...(['ask', 'dispute', 'won', 'warn'] as const).map((fate) => ({ payment: 0, fate })),
    ...([...askings, 'refund', 'fail', 'inquiry', 'escalate', 'lost'] as const).map((fate) => ({
      payment: 1,
      fate,
    })),
  ],
  seed: 1,
};

test('any order, doubling and delay of events ends in the state that Stripe is in', {
  timeout: 30_000 + runs * 5_000,
}, async () => {
  const reached = new Set<string>();
  await fc.assert(
    fc.asyncProperty(scenario, async (scenario) => {
      for (const event of await play(scenario)) reached.add(event);
    }),
    { numRuns: runs, examples: [[everything]] },
  );
  expect([...reached]).toEqual(
    expect.arrayContaining([
      ...['refund.created', 'refund.failed', 'refund.updated', 'charge.refunded'],
      ...['charge.dispute.created', 'charge.dispute.updated', 'charge.dispute.closed'],
      ...['charge.dispute.funds_withdrawn', 'charge.dispute.funds_reinstated'],
      ...['radar.early_fraud_warning.created', 'not applied'],
      ...['asked: succeeded', 'asked: reserved', 'asked: failed'],
    ]),
  );
});

/** Plays a scenario; the types of events that came, and whether one had to come again. */
async function play({ amounts, happenings, seed }: Scenario): Promise<string[]> {
  const random = randomOf(seed);
  const payments: Payment[] = [];
  const userId = `random-${users++}`;
  for (const amount of amounts) {
    payments.push(await world.pay(userId, amount));
  }
  const past = new Past(world.gateway, random);
  const late = createStripeEvents({ sql: world.database.app, gateway: past.gateway });
  const told: Stripe.Event[] = [];
  const outcomes: string[] = [];
  const waiting = new Set<Stripe.Event>();

  for (const { payment, fate } of happenings) {
    const asked = await happen(fate, payments[payment % payments.length], random);
    if (asked !== null) outcomes.push(`asked: ${asked}`);
    for (const event of world.newEvents()) {
      told.push(event);
      waiting.add(event);
    }
    await past.look(told);
    // Some come now, in any order and some twice, and what is read for them may be old.
    const now = shuffled([...waiting], random).filter(() => random() < 0.4);
    for (const event of now) {
      waiting.delete(event);
      outcomes.push(await world.deliver(event, late));
      if (random() < 0.3) outcomes.push(await world.deliver(event, late));
    }
    if (random() < 0.2) await server.sweep();
  }

  // In the end all come, and come again, several at once.
  const rest = shuffled([...told, ...told.filter(() => random() < 0.5)], random);
  for (let from = 0; from < rest.length; from += 3) {
    const some = rest.slice(from, from + 3).map((event) => world.deliver(event));
    await Promise.all([...some, server.sweep()]);
  }
  for (const event of world.newEvents()) {
    told.push(event);
    await world.deliver(event);
  }
  const { walletId } = await world.wallets.ofUser(userId);
  const state = await world.stateOf(walletId);
  // What Stripe refused to make is known here alone, and took nothing.
  const refunds = state.refunds.filter(({ stripeRefundId }) => stripeRefundId !== null);
  const refused = state.refunds.filter(({ stripeRefundId }) => stripeRefundId === null);
  expect({ ...state, refunds }).toEqual(await stateAtStripe(payments));
  for (const refund of refused) {
    expect(refund).toMatchObject({ status: 'failed', debitedMicros: 0n });
  }
  expect(await world.verify(walletId)).toEqual([]);
  const ours = outcomes.map((outcome) => outcome.replace(/^(not applied).*/s, '$1'));
  return [...told.map(({ type }) => type), ...ours];
}

/**
 * What befalls a payment, and the answer to who asked for a refund of it. The stand-in refuses what
 * Stripe refuses, and then nothing has happened.
 */
async function happen(
  fate: Happening['fate'],
  payment: Payment | undefined,
  random: () => number,
): Promise<string | null> {
  if (payment === undefined) return null;
  const { controls } = world.standIn;
  const { chargeId } = payment;
  const someMinor = () => 100 + Math.floor(random() * 300);
  /** An object of the payment that an event told of. */
  const oneOf = (object: string) => {
    const ids = controls
      .events(1_000_000)
      .map(({ event }) => event.data.object)
      .filter((row) => row.object === object && 'charge' in row && row.charge === chargeId)
      .map((row) => ('id' in row ? String(row.id) : ''));
    return ids[Math.floor(random() * ids.length)] ?? 'none';
  };
  try {
    switch (fate) {
      case 'refund':
        controls.refundCharge(chargeId, someMinor());
        break;
      case 'refund all':
        controls.refundCharge(chargeId);
        break;
      case 'fail':
        controls.failRefund(oneOf('refund'));
        break;
      case 'dispute':
        controls.disputeCharge(chargeId);
        break;
      case 'dispute in part':
        controls.disputeCharge(chargeId, { amount: 700 });
        break;
      case 'inquiry':
        controls.disputeCharge(chargeId, { status: 'warning_needs_response' });
        break;
      case 'escalate':
        controls.escalateInquiry(oneOf('dispute'));
        break;
      case 'warn':
        controls.warnOfFraud(chargeId);
        break;
      case 'ask':
      case 'ask and die':
      case 'ask unheard':
      case 'ask in vain':
        return await askHere(fate, payment, someMinor());
      default:
        controls.closeDispute(oneOf('dispute'), fate);
    }
  } catch (error) {
    expect(error).toHaveProperty('status');
  }
  return null;
}

/** Asks here for a refund of a payment that was credited; how it stands, or why it is refused. */
async function askHere(
  fate: (typeof askings)[number],
  { walletId, topUpId, intentId }: Payment,
  minor: number,
): Promise<string> {
  const { controls } = world.standIn;
  await world.events.applyPayment(intentId);
  const fault = { 'ask unheard': 'cut_after_commit', 'ask in vain': 'refused' } as const;
  if (fate === 'ask unheard' || fate === 'ask in vain') {
    // The SDK asks three times.
    controls.api(fault[fate], { count: 3, pathPrefix: '/v1/refunds' });
  }
  const { refunds } = fate === 'ask and die' ? { refunds: world.dying } : server;
  const request = requestOf({ walletId }, { topUpId, amountMicros: BigInt(minor) * 10_000n });
  const answer = await refunds.refund(request, SUPPORT);
  controls.clearFaults();
  return answer.ok ? (answer.refunds[0]?.status ?? 'nothing') : answer.code;
}

/** A gateway that often reads what was so some time ago, as of a copy that lags behind. */
class Past {
  readonly gateway: StripeGateway;
  readonly #now: StripeGateway;
  readonly #seen = new Map<string, unknown[]>();

  constructor(now: StripeGateway, random: () => number) {
    this.#now = now;
    const some = <T>(id: string, fresh: Promise<T>): Promise<T> => {
      const seen = this.#seen.get(id) ?? [];
      // All that is kept under an id was read by the same call.
      const old = seen[Math.floor(random() * seen.length)] as T | undefined;
      return random() < 0.5 && old !== undefined ? fresh.then(() => old) : fresh;
    };
    this.gateway = {
      ...now,
      retrieveRefund: (id) => some(id, now.retrieveRefund(id)),
      retrieveDispute: (id) => some(id, now.retrieveDispute(id)),
    };
  }

  /** Remembers how everything is now that events told of. */
  async look(told: readonly Stripe.Event[]): Promise<void> {
    const ids = new Set(
      told.map(({ data }) => ('id' in data.object ? String(data.object.id) : '')),
    );
    for (const id of ids) {
      const isRefund = id.startsWith('re_');
      if (isRefund || id.startsWith('dp_')) {
        const read = isRefund ? this.#now.retrieveRefund(id) : this.#now.retrieveDispute(id);
        this.#seen.set(id, [...(this.#seen.get(id) ?? []), await read]);
      }
    }
  }
}

/** The state of the one wallet of these payments, computed from Stripe's own books. */
async function stateAtStripe(payments: readonly Payment[]): Promise<LedgerState> {
  const micros = (minor: number | bigint) => BigInt(minor) * 10_000n;
  const refunds: { debitedMicros: bigint; stripeRefundId: string }[] = [];
  const disputes: {
    disputeId: string;
    withdrawnMicros: bigint;
    reinstatedMicros: bigint;
    freezes: boolean;
  }[] = [];
  const warnings: { warningId: string }[] = [];
  let paidMicros = 0n;
  for (const { intentId, topUpId } of payments) {
    const of = { payment_intent: intentId, limit: 100 };
    paidMicros += micros((await world.stripe.paymentIntents.retrieve(intentId)).amount_received);
    for await (const { id, status, amount } of world.stripe.refunds.list(of)) {
      const debitedMicros = status === 'failed' ? 0n : micros(amount);
      const amountMicros = micros(amount);
      const refund = { stripeRefundId: id, topUpId, status, amountMicros, debitedMicros };
      refunds.push(refund);
    }
    for await (const { id } of world.stripe.disputes.list(of)) {
      const dispute = await world.gateway.retrieveDispute(id);
      const state = disputeStateOf(dispute);
      const { status, withdrawnMinor, reinstatedMinor } = dispute;
      const row = {
        ...{ disputeId: id, topUpId, state, status, freezes: ['open', 'lost'].includes(state) },
        ...{ withdrawnMicros: micros(withdrawnMinor), reinstatedMicros: micros(reinstatedMinor) },
      };
      disputes.push(row);
    }
    for await (const { id, actionable } of world.stripe.radar.earlyFraudWarnings.list(of)) {
      const warning = { warningId: id, topUpId, actionable };
      warnings.push(warning);
    }
  }
  const backMicros =
    refunds.reduce((sum, { debitedMicros }) => sum + debitedMicros, 0n) +
    disputes.reduce((sum, dispute) => sum + dispute.withdrawnMicros - dispute.reinstatedMicros, 0n);
  return {
    status: disputes.some(({ freezes }) => freezes) ? 'frozen' : 'open',
    balanceMicros: paidMicros - backMicros,
    arrearsMicros: 0n,
    refunds: refunds.sort((a, b) => (a.stripeRefundId < b.stripeRefundId ? -1 : 1)),
    disputes: disputes.sort((a, b) => (a.disputeId < b.disputeId ? -1 : 1)),
    warnings: warnings.sort((a, b) => (a.warningId < b.warningId ? -1 : 1)),
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

/** Numbers from 0 to 1 that a seed determines (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
