/** The events of a wallet in plain words, one row each. */
import { z } from 'zod';
import type { EventView, PricedAnew } from '../server/views/wallets.ts';
import { absoluteMicros, formatDateTime, formatMoney, formatPeriod, humanize } from './format.ts';
import { describeBreakdown, describeUsage, type Fact } from './usage.ts';

/** Which way an event moved money, so that what is held is never taken for what is spent. */
export type EventTone = 'in' | 'out' | 'held' | 'neutral';

/** An event as the pages show it: text only, made on the server. */
export interface EventRow {
  seq: string;
  title: string;
  /** Who or what it was about: a destination, a card, a reason. */
  subtitle: string | null;
  tone: EventTone;
  /** The amount moved, or null when no money moved. */
  amount: string | null;
  /** What the amount means where its sign does not say it. */
  amountNote: string | null;
  balanceAfter: string;
  occurredAt: string;
  occurredAtText: string;
  facts: Fact[];
  /** The facts say how the price of usage came about. */
  isPriced: boolean;
}

const titles: Readonly<Record<string, string>> = {
  wallet_opened: 'Wallet opened',
  top_up: 'Top-up by card',
  charge: 'Usage',
  accrual: 'Usage',
  goodwill: 'Usage paid for you',
  accrual_settled: 'Usage of the month deducted',
  usage_refund: 'Usage refunded',
  grant: 'Promotional credit',
  grant_expired: 'Promotional credit expired',
  arrears_demanded: 'Payment of arrears asked for',
  arrears_repaid: 'Arrears repaid',
  fee: 'Monthly fee',
  subscription_added: 'Monthly fee agreed',
  subscription_ended: 'Monthly fee ended',
  payment_refund: 'Refund to your card',
  payment_refund_failed: 'Refund to your card failed',
  dispute_opened: 'Payment disputed with your bank',
  dispute_closed: 'Dispute ended',
  dispute_withdrawn: 'Disputed payment taken back by your bank',
  dispute_reinstated: 'Disputed payment returned',
  hold_placed: 'Put on hold',
  hold_extended: 'Hold extended',
  hold_captured: 'Usage charged from a hold',
  hold_voided: 'Hold released',
  hold_expired: 'Hold ran out',
  limits_changed: 'Spending limits changed',
  wallet_frozen: 'Wallet frozen',
  wallet_unfrozen: 'Wallet unfrozen',
  wallet_closed: 'Wallet closed',
};

const text = z.string().min(1);
const periodSchema = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/);
const cardSchema = z.object({ brand: text, last4: text });

/**
 * Says what an event did, and of usage that was priced anew whether it costs the same. A type that
 * is not known is named by its own words.
 */
export function describeEvent(
  event: EventView,
  currency: string,
  timeZone: string,
  priced?: PricedAnew,
): EventRow {
  const { detail } = event;
  const usage = describeUsage(detail.usage);
  const { amount, tone, amountNote } = movement(event, currency);
  return {
    seq: event.seq.toString(),
    title: titleOf(event, usage?.title),
    subtitle: subtitleOf(detail, usage?.to ?? null),
    tone,
    amount,
    amountNote,
    balanceAfter: formatMoney(event.balanceMicros, currency),
    occurredAt: event.occurredAt.toISOString(),
    occurredAtText: formatDateTime(event.occurredAt.toISOString(), timeZone),
    facts: [
      ...(usage?.facts ?? []),
      ...describeBreakdown(detail.breakdown),
      ...(priced === undefined ? [] : priceFacts(event, priced, currency)),
      ...creditFacts(event, currency),
      ...referenceFacts(detail),
      ...positionFacts(event, currency, timeZone),
    ],
    isPriced: priced !== undefined,
  };
}

function titleOf({ type, detail }: EventView, usageTitle: string | undefined): string {
  if (type === 'top_up' && detail.automatic === true) return 'Automatic top-up by card';
  const title = titles[type] ?? humanize(type);
  if (usageTitle === undefined) return title;
  return isUsage(type) ? usageTitle : `${title}: ${usageTitle}`;
}

function subtitleOf(detail: EventView['detail'], to: string | null): string | null {
  if (to !== null) return `To ${to}`;
  const card = cardSchema.safeParse(detail.card);
  if (card.success) return `${humanize(card.data.brand)} ending ${card.data.last4}`;
  const period = periodSchema.safeParse(detail.period);
  const words = text.safeParse(detail.reason ?? detail.description);
  const parts = [words.data, period.success ? formatPeriod(period.data) : undefined];
  return parts.filter((part) => part !== undefined).join(', ') || null;
}

function movement(
  event: EventView,
  currency: string,
): Pick<EventRow, 'amount' | 'tone' | 'amountNote'> {
  const { balanceDeltaMicros, heldDeltaMicros, arrearsDeltaMicros } = event;
  const money = (micros: bigint) => formatMoney(absoluteMicros(micros), currency);
  const owed = arrearsDeltaMicros > 0n ? `and ${money(arrearsDeltaMicros)} owed` : null;
  if (event.type === 'goodwill') {
    return { amount: formatMoney(0n, currency), tone: 'neutral', amountNote: 'paid for you' };
  }
  if (event.type === 'accrual') {
    const note = owed === null ? 'deducted on the 1st' : `deducted on the 1st, ${owed}`;
    return { amount: money(heldDeltaMicros), tone: 'held', amountNote: note };
  }
  if (balanceDeltaMicros !== 0n || isUsage(event.type)) {
    return {
      amount: formatMoney(balanceDeltaMicros, currency, { signed: true }),
      tone: balanceDeltaMicros > 0n ? 'in' : 'out',
      amountNote: owed,
    };
  }
  if (heldDeltaMicros !== 0n) {
    return {
      amount: money(heldDeltaMicros),
      tone: 'held',
      amountNote: heldDeltaMicros > 0n ? 'on hold, not spent' : 'released, not spent',
    };
  }
  if (arrearsDeltaMicros !== 0n) {
    return {
      amount: money(arrearsDeltaMicros),
      tone: 'neutral',
      amountNote: arrearsDeltaMicros > 0n ? 'owed' : 'no longer owed',
    };
  }
  return { amount: null, tone: 'neutral', amountNote: null };
}

function isUsage(type: string): boolean {
  return ['charge', 'hold_captured', 'accrual', 'goodwill'].includes(type);
}

const references = [
  ['referenceId', 'Reference'],
  ['paymentIntentId', 'Payment'],
  ['topUpId', 'Top-up'],
  ['refundId', 'Refund'],
  ['disputeId', 'Dispute'],
  ['holdId', 'Hold'],
  ['statement', 'Statement'],
] as const;

function referenceFacts(detail: EventView['detail']): Fact[] {
  const original = text.safeParse(detail.originalSeq);
  return [
    ...(original.success ? [{ label: 'Of event', value: `No. ${original.data}` }] : []),
    ...references.flatMap(([key, label]) => {
      const value = text.safeParse(detail[key]);
      return value.success ? [{ label, value: value.data }] : [];
    }),
  ];
}

function priceFacts(
  event: EventView,
  { recomputedMicros, alreadyBilledMicros, matches }: PricedAnew,
  currency: string,
): Fact[] {
  const price = recomputedMicros === null ? 'No price' : formatMoney(recomputedMicros, currency);
  const balanceBeforeMicros = event.balanceMicros - event.balanceDeltaMicros;
  return [
    {
      label: 'Calculated anew',
      value: matches ? `${price}, as billed` : `${price}: not what this entry says`,
    },
    ...(alreadyBilledMicros === 0n
      ? []
      : [{ label: 'Billed before', value: formatMoney(alreadyBilledMicros, currency) }]),
    { label: 'Balance before', value: formatMoney(balanceBeforeMicros, currency) },
  ];
}

const grantParts = z.array(z.object({ micros: z.string().regex(/^\d+$/) })).min(1);

/** How much of what an event spent, or gave back, was promotional credit. */
function creditFacts({ type, detail }: EventView, currency: string): Fact[] {
  const parts = grantParts.safeParse(detail.grants);
  if (!parts.success) return [];
  const total = parts.data.reduce((sum, { micros }) => sum + BigInt(micros), 0n);
  const label = type === 'usage_refund' ? 'Promotional credit again' : 'Of promotional credit';
  return [{ label, value: formatMoney(total, currency) }];
}

function positionFacts(event: EventView, currency: string, timeZone: string): Fact[] {
  const recordedAt = formatDateTime(event.recordedAt.toISOString(), timeZone);
  return [
    { label: 'On hold after', value: formatMoney(event.heldMicros, currency) },
    ...(event.arrearsMicros === 0n
      ? []
      : [{ label: 'Arrears after', value: formatMoney(event.arrearsMicros, currency) }]),
    { label: 'Recorded', value: recordedAt },
    { label: 'Event', value: `No. ${event.seq}` },
    { label: 'Fingerprint', value: event.hash },
  ];
}
