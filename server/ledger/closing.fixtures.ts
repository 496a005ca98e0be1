/** What closing a wallet's months comes to, in the decider's commands. */
import { createHash } from 'node:crypto';
import type { Command } from './decide.ts';
import { settleDue } from './due.ts';
import type { WalletEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { ledgerKey } from './key.ts';
import type { OpenWallet } from './state.ts';
import { feeMicros, partOf } from './subscriptions.ts';
import { type Window, windowOf } from './window.ts';

/** A wallet with its events, and when each was recorded. */
export interface Recorded {
  readonly walletId: string;
  readonly state: OpenWallet;
  readonly past: readonly { readonly event: WalletEvent; readonly after: OpenWallet }[];
}

interface Month extends Window {
  readonly period: string;
}

/** Histories come to the same months again and again, and the calendar is slow to ask. */
const months = new Map<string, Window>();

function monthOf(atMs: number, timezone: string): Window {
  const name = `${timezone} ${atMs}`;
  const month = months.get(name) ?? windowOf('month', atMs, timezone);
  months.set(name, month);
  return month;
}

/** The wallet's months that have ended, oldest first. */
export function endedMonths({ state, past }: Recorded, nowMs: number): Month[] {
  const ended: Month[] = [];
  let month = monthOf(past[0]?.after.atMs ?? nowMs, state.timezone);
  while (month.endsAtMs <= nowMs) {
    // In its middle it is the same month everywhere.
    const middle = new Date((month.startsAtMs + month.endsAtMs) / 2);
    const period = middle.toISOString().slice(0, 7);
    ended.push({ period, ...month });
    month = monthOf(month.endsAtMs, state.timezone);
  }
  return ended;
}

/**
 * The commands of closing all months that have ended: what was reserved in each is settled, then
 * each month's fees are posted, oldest first. `demandCommands` come behind them. `numberOf` names a month's
 * statement.
 */
export function closingCommands(
  recorded: Recorded,
  nowMs: number,
  numberOf: (period: string) => string,
): Command[] {
  const { walletId, state, past } = recorded;
  const months = endedMonths(recorded, nowMs);
  const settlements = months.flatMap(({ period, startsAtMs, endsAtMs }): Command[] => {
    const amountMicros = past
      .filter(({ after }) => after.atMs >= startsAtMs && after.atMs < endsAtMs)
      .reduce((sum, { event }) => sum + (event.type === 'accrual' ? event.reservedMicros : 0n), 0n);
    const settle: Command = {
      type: 'settle_accruals',
      key: ledgerKey('settlement', period),
      requestHash: hashOf(walletId, period, amountMicros),
      amountMicros,
      actor: 'system:month',
      detail: { period, statement: numberOf(period) },
    };
    return amountMicros === 0n || state.answers.has(settle.key) ? [] : [settle];
  });
  const fees = months.flatMap(({ period, ...month }) =>
    [...state.subscriptions.values()].flatMap((subscription): Command[] => {
      const { subscriptionId, monthlyMicros } = subscription;
      const part = partOf(subscription, month);
      const key = ledgerKey('fee', `${subscriptionId}:${period}`);
      if (part === undefined || state.answers.has(key)) {
        return [];
      }
      const amountMicros = feeMicros(monthlyMicros, part, month);
      const requestHash = hashOf(subscriptionId, period, amountMicros);
      const actor = 'system:month';
      return [{ type: 'post_fee', key, requestHash, subscriptionId, period, month, actor }];
    }),
  );
  return [...settlements, ...fees];
}

const graceMs = 7 * 86_400_000;

/** What is owed once the fees are posted is demanded, once for each newest month that is closed. */
export function demandCommands(recorded: Recorded, nowMs: number): Command[] {
  const { walletId, state } = recorded;
  const period = endedMonths(recorded, nowMs).at(-1)?.period;
  if (period === undefined || state.arrearsMicros === 0n || state.demand !== null) {
    return [];
  }
  const key = ledgerKey('arrears', period);
  // What has fallen due is settled first, and may be owed too.
  const { arrearsMicros } = settled(state, nowMs);
  const requestHash = hashOf(walletId, period, arrearsMicros);
  const demand = { key, requestHash, period, suspendAtMs: nowMs + graceMs, actor: 'system:month' };
  return state.answers.has(key) ? [] : [{ type: 'demand_arrears', ...demand }];
}

function settled(state: OpenWallet, nowMs: number): OpenWallet {
  const now: OpenWallet = { ...state, atMs: nowMs };
  return settleDue(now, nowMs).reduce(evolve, now);
}

function hashOf(...parts: readonly (string | bigint)[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}
