/** Recurring fees: who subscribes to what, and what a month of it costs. */
import { accept, applied, type Decision, recall, refuse } from './decision.ts';
import { detailOf } from './event-detail.ts';
import type { Keyed, WalletEvent } from './events.ts';
import { burn, ofGrants } from './grants.ts';
import { least, most } from './money.ts';
import { availableMicros, type OpenWallet } from './state.ts';
import { type Window, windowOf } from './window.ts';

/** The most that a subscription costs a month. */
export const maxFeeMicros = 10n ** 15n;

export type SubscriptionKind = 'plan' | 'number';

/** A plan or a rented number. */
export interface Subscription {
  readonly subscriptionId: string;
  readonly kind: SubscriptionKind;
  readonly description: string;
  /** Of a whole month. */
  readonly monthlyMicros: bigint;
  readonly startsAtMs: number;
  /** Null until somebody ends it. One that ends as it starts costs nothing. */
  readonly endsAtMs: number | null;
  /** The end of the newest month whose fee was posted. */
  readonly billedToMs: number | null;
}

export interface AddSubscription extends Keyed {
  readonly type: 'add_subscription';
  readonly subscriptionId: string;
  readonly kind: SubscriptionKind;
  readonly description: string;
  readonly monthlyMicros: bigint;
  /** Null for now. */
  readonly startsAtMs: number | null;
  readonly endsAtMs: number | null;
  readonly actor: string;
}

/** By default now. */
export interface EndSubscription {
  readonly type: 'end_subscription';
  readonly subscriptionId: string;
  /** Null for now. */
  readonly endsAtMs: number | null;
  readonly actor: string;
}

/** Posts a closed month's fee. */
export interface PostFee extends Keyed {
  readonly type: 'post_fee';
  readonly subscriptionId: string;
  /** The wallet's month, YYYY-MM. */
  readonly period: string;
  readonly month: Window;
  readonly actor: string;
}

export type SubscriptionCommand = AddSubscription | EndSubscription | PostFee;

/**
 * The fee for the part of a month in which a subscription ran, by time: amount × part ÷ month,
 * rounded once to the nearest micro, half of one up. Both ends are instants, so that an hour which
 * clocks skip or repeat counts for what it lasts.
 */
export function feeMicros(monthlyMicros: bigint, part: Window, month: Window): bigint {
  const partMs = BigInt(part.endsAtMs - part.startsAtMs);
  const monthMs = BigInt(month.endsAtMs - month.startsAtMs);
  return (2n * monthlyMicros * partMs + monthMs) / (2n * monthMs);
}

/** The part of a month in which a subscription ran; undefined when it did not. */
export function partOf(
  { startsAtMs, endsAtMs }: Pick<Subscription, 'startsAtMs' | 'endsAtMs'>,
  month: Window,
): Window | undefined {
  const part = {
    startsAtMs: Math.max(startsAtMs, month.startsAtMs),
    endsAtMs: Math.min(endsAtMs ?? Infinity, month.endsAtMs),
  };
  return part.endsAtMs > part.startsAtMs ? part : undefined;
}

/** Whether fees are still to come. */
export function owesFees({ startsAtMs, endsAtMs, billedToMs }: Subscription): boolean {
  return endsAtMs === null || endsAtMs > Math.max(startsAtMs, billedToMs ?? -Infinity);
}

/** A subscription begins in the wallet's present month or later: months before it are closed. */
export function addSubscription(
  command: AddSubscription,
  state: OpenWallet,
  nowMs: number,
): Decision {
  const { monthlyMicros, key, requestHash, subscriptionId, kind, description, actor } = command;
  const known = recall(command, state);
  if (known) {
    return known;
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, 0n);
  }
  const startsAtMs = command.startsAtMs ?? nowMs;
  if (startsAtMs < openMonthStart(state)) {
    return refuse('MONTH_CLOSED', state, 0n);
  }
  const endsAtMs = command.endsAtMs === null ? null : Math.max(command.endsAtMs, startsAtMs);
  const subscription: Subscription = {
    subscriptionId,
    kind,
    description,
    monthlyMicros,
    startsAtMs,
    endsAtMs,
    billedToMs: null,
  };
  return accept(command, state, [
    { type: 'subscription_added', key, requestHash, subscription, actor },
  ]);
}

/** The same end again writes nothing. Before its start there is nothing to end. */
export function endSubscription(
  { subscriptionId, endsAtMs, actor }: EndSubscription,
  state: OpenWallet,
  nowMs: number,
): Decision {
  const before = state.subscriptions.get(subscriptionId);
  if (before === undefined) {
    return refuse('SUBSCRIPTION_NOT_FOUND', state, 0n);
  }
  const oldEndMs = before.endsAtMs ?? Infinity;
  const newEndMs = Math.max(endsAtMs ?? nowMs, before.startsAtMs);
  if (oldEndMs === newEndMs || (endsAtMs === null && oldEndMs <= nowMs)) {
    return applied(state, 0n, []);
  }
  if (state.status === 'closed') {
    return refuse('WALLET_CLOSED', state, 0n);
  }
  if (Math.min(oldEndMs, newEndMs) < openMonthStart(state)) {
    return refuse('MONTH_CLOSED', state, 0n);
  }
  const subscription = { ...before, endsAtMs: newEndMs };
  const ended: WalletEvent = { type: 'subscription_ended', subscription, actor };
  return applied(state, 0n, [ended], detailOf(ended));
}

/** Takes what is available, and the rest is owed, whatever the wallet's status. */
export function postFee(command: PostFee, state: OpenWallet, nowMs: number): Decision {
  const known = recall(command, state);
  if (known) {
    return known;
  }
  const { key, requestHash, period, month, actor } = command;
  const before = state.subscriptions.get(command.subscriptionId);
  const part = before && partOf(before, month);
  if (before === undefined || part === undefined) {
    throw new RangeError('a fee is for a month in which its subscription ran');
  }
  const amountMicros = feeMicros(before.monthlyMicros, part, month);
  const takenMicros = least(amountMicros, most(availableMicros(state), 0n));
  const fee: WalletEvent = {
    type: 'fee',
    key,
    requestHash,
    takenMicros,
    owedMicros: amountMicros - takenMicros,
    subscription: { ...before, billedToMs: month.endsAtMs },
    period,
    part,
    actor,
    ...ofGrants(burn(state, takenMicros, nowMs)),
  };
  return accept(command, state, [fee]);
}

/** The beginning of the month in which the wallet's next event will be recorded. */
function openMonthStart({ atMs, timezone }: OpenWallet): number {
  return windowOf('month', atMs, timezone).startsAtMs;
}
