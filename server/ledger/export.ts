/** The ledger as text that other programs read. */
import { joinCsvLine } from '../rating/csv-line.ts';
import type { StoredEvent } from './hash.ts';
import { formatMicros } from './money.ts';

/** The columns of an exported event: all that its hash covers, in that order, and the hash. */
const columns = [
  'walletId',
  'seq',
  'type',
  'balanceDeltaMicros',
  'heldDeltaMicros',
  'arrearsDeltaMicros',
  'balanceMicros',
  'heldMicros',
  'arrearsMicros',
  'overdraftLimitMicros',
  'key',
  'requestHash',
  'actor',
  'occurredAtMicroseconds',
  'recordedAtMicroseconds',
  'detailText',
  'hash',
] as const satisfies readonly (keyof StoredEvent | 'hash')[];

type Exported = StoredEvent & { readonly hash: string };

/** One event as a line of JSON; numbers are decimal strings, so that no reader rounds them. */
export function jsonLine(event: Exported): string {
  const fields = columns.map((name) => [name, event[name]?.toString() ?? null]);
  return `${JSON.stringify(Object.fromEntries(fields))}\n`;
}

export const csvHeader = `${columns.join(',')}\r\n`;

/**
 * One event as a record of CSV.
 * @see https://www.rfc-editor.org/rfc/rfc4180
 */
export function csvRecord(event: Exported): string {
  return `${joinCsvLine(columns.map((name) => event[name]?.toString() ?? ''))}\r\n`;
}

/** A side of an event in double entry, with what the books owe positive. */
interface Entry {
  readonly account: string | null;
  readonly currency: string;
  readonly exponent: number;
  readonly amountMicros: bigint;
}

interface Transaction {
  readonly walletId: string;
  readonly seq: bigint;
  readonly date: string;
  readonly type: string;
}

export const hledgerHeader = `; The journal of the wallets. Liabilities and income are negative, as is usual there.
decimal-mark .
`;

/**
 * One event as a transaction of hledger; nothing for an event that moved no money.
 * @see https://hledger.org/hledger.html#journal
 */
export function hledgerTransaction(
  { walletId, seq, date, type }: Transaction,
  entries: readonly Entry[],
): string {
  const postings = entries.map(
    ({ account, amountMicros, exponent, currency }) =>
      `    ${(account ?? 'unknown').padEnd(28)}  ${formatMicros(-amountMicros, exponent)} ${currency}\n`,
  );
  return postings.length === 0
    ? ''
    : `\n${date} (${walletId}/${seq}) ${type}  ; wallet:${walletId}, seq:${seq}\n${postings.join('')}`;
}

/**
 * What an entry has to declare, once in the journal, for hledger's strict checks: its account,
 * unless it has none that is known, and its currency, whose amounts then balance to the micro.
 * @see https://hledger.org/hledger.html#strict-mode
 */
export function hledgerDirectives({ account, currency }: Entry): string[] {
  const commodity = `commodity 1.000000 ${currency}\n`;
  return account === null ? [commodity] : [`account ${account}\n`, commodity];
}
