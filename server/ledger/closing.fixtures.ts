/** What closing a wallet's months comes to, in the decider's commands. */
import { createHash } from 'node:crypto';
import type { Command } from './decide.ts';
import type { WalletEvent } from './events.ts';
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
 * each month's fees are posted, oldest first. Repeated ones are replays. `numberOf` names a month's
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

function hashOf(...parts: readonly (string | bigint)[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}
