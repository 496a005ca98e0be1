/** `npm run ledger -- export` and `trial-balance`: the ledger for accountants and for proof. */
import {
  csvHeader,
  csvRecord,
  hledgerDirectives,
  hledgerHeader,
  hledgerTransaction,
  jsonLine,
} from '../ledger/export.ts';
import { formatMicros } from '../ledger/money.ts';
import {
  type AccountBalance,
  type JournalEntry,
  streamEvents,
  streamJournal,
  trialBalance,
  walletExists,
} from '../store/ledger.ts';
import type { Sql } from '../store/sql.ts';
import type { Output } from './output.ts';

const EXPORT_FORMATS = ['hledger', 'csv', 'jsonl'] as const;

const TRIAL_BALANCE_HEADER =
  'Debits are positive, credits (liabilities and income) negative, as in the hledger export.\n';

export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export function isExportFormat(name: string): name is ExportFormat {
  return EXPORT_FORMATS.some((format) => format === name);
}

/** Streams the ledger, or one wallet's part, in a format. Exit code 1 for an unknown wallet. */
export async function exportLedger(
  sql: Sql,
  { walletId, format }: { readonly walletId: string | null; readonly format: ExportFormat },
  output: Output,
): Promise<number> {
  if (walletId !== null && !(await walletExists(sql, walletId))) {
    await output.err(`There is no wallet ${walletId}.\n`);
    return 1;
  }
  switch (format) {
    case 'hledger':
      await exportJournal(streamJournal(sql, walletId), output);
      return 0;
    case 'csv':
      await output.out(csvHeader);
      for await (const events of streamEvents(sql, walletId)) {
        await output.out(events.map(csvRecord).join(''));
      }
      return 0;
    case 'jsonl':
      for await (const events of streamEvents(sql, walletId)) {
        await output.out(events.map(jsonLine).join(''));
      }
      return 0;
    default: {
      const unknown: never = format;
      throw new TypeError(`unknown format ${String(unknown)}`);
    }
  }
}

/** A fetch may end in the middle of an event, so its last event waits for the next one. */
async function exportJournal(
  fetches: AsyncIterable<readonly JournalEntry[]>,
  output: Output,
): Promise<void> {
  await output.out(hledgerHeader);
  const directives = new Set<string>();
  let open: JournalEntry[] = [];
  for await (const entries of fetches) {
    let text = '';
    for (const entry of entries) {
      const [first] = open;
      if (first && (first.walletId !== entry.walletId || first.seq !== entry.seq)) {
        text += hledgerTransaction(first, open);
        open = [];
      }
      open.push(entry);
      for (const directive of hledgerDirectives(entry)) directives.add(directive);
    }
    await output.out(text);
  }
  const [last] = open;
  if (last) {
    await output.out(hledgerTransaction(last, open));
  }
  await output.out(`\n${[...directives].sort().join('')}`);
}

/**
 * Prints what each account holds, debits positive and credits negative as in the hledger export.
 * Exit code 1 when that is not what double entry promises.
 */
export async function printTrialBalance(
  sql: Sql,
  { json }: { readonly json: boolean },
  output: Output,
): Promise<number> {
  const accounts = (await trialBalance(sql)).map(debitsPositive);
  const problems: string[] = [];
  for (const currency of new Set(accounts.map((account) => account.currency))) {
    const sumMicros = accounts
      .filter((account) => account.currency === currency)
      .reduce((sum, { journalMicros }) => sum + journalMicros, 0n);
    if (sumMicros !== 0n) {
      problems.push(`${currency} sums to ${sumMicros} micros instead of zero`);
    }
  }
  for (const { currency, account, journalMicros, walletsMicros } of accounts) {
    if (account === null) {
      problems.push(`${currency} has events of a type that has no account`);
    }
    if (walletsMicros !== null && walletsMicros !== journalMicros) {
      problems.push(
        `${currency} ${account} is ${journalMicros} micros by the journal, ${walletsMicros} by the wallets`,
      );
    }
  }
  if (json) {
    const rows = accounts.map(({ currency, account, journalMicros }) => ({
      currency,
      account,
      amountMicros: journalMicros.toString(),
    }));
    await output.out(`${JSON.stringify({ accounts: rows, problems })}\n`);
  } else {
    await output.out(TRIAL_BALANCE_HEADER);
    for (const { currency, exponent, account, journalMicros } of accounts) {
      const amount = formatMicros(journalMicros, exponent).padStart(24);
      await output.out(`${currency}  ${(account ?? 'unknown').padEnd(28)}${amount}\n`);
    }
    await output.out(
      problems.length === 0
        ? 'Every currency sums to zero.\n'
        : `${problems.map((problem) => `Wrong: ${problem}\n`).join('')}`,
    );
  }
  return problems.length === 0 ? 0 : 1;
}

/** The view counts credits as positive, as wallets do. */
function debitsPositive(account: AccountBalance): AccountBalance {
  const { journalMicros, walletsMicros } = account;
  return {
    ...account,
    journalMicros: -journalMicros,
    walletsMicros: walletsMicros === null ? null : -walletsMicros,
  };
}
