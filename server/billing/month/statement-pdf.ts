/** A statement as a PDF: the same bytes for the same statement and address, for ever. */
import { ACCENT } from '../../colors.ts';
import { formatMoney } from '../../ledger/money.ts';
import type { StatementFee } from '../../ledger/statement.ts';
import type { StatementView } from '../../views/statements.ts';
import type { UsageLine } from '../../views/wallets.ts';
import {
  collect,
  createDocument,
  type Document,
  heading,
  note,
  numberPages,
  pairs,
  table,
  text,
} from './pdf-layout.ts';
import { usageWords } from './statement-words.ts';

export interface StatementPdfOptions {
  readonly statement: StatementView;
  /** Its fees, in their order. */
  readonly fees: readonly StatementFee[];
  /** Whose it is, such as the account's address. */
  readonly customer: string;
  /** Who issues it. */
  readonly appName: string;
  /** Decimals of the currency's minor unit. */
  readonly exponent: number;
}

export function statementPdf(options: StatementPdfOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { statement, appName } = options;
  const title = `Statement ${statement.number}`;
  const document = createDocument({ title, author: appName, createdAt: statement.closedAt });
  const bytes = collect(document);
  draw(document, options);
  numberPages(document, title);
  document.end();
  return bytes;
}

function draw(document: Document, options: StatementPdfOptions) {
  const { statement, fees, customer, appName, exponent } = options;
  const { currency, timezone } = statement;
  const money = (micros: bigint) => formatMoney(micros, { code: currency, exponent });
  const moved = (micros: bigint) => `${micros > 0n ? '+' : ''}${money(micros)}`;
  const day = (at: Date) =>
    instant(at, timezone, { day: 'numeric', month: 'long', year: 'numeric' });

  text(document, appName, { size: 11, bold: true, color: ACCENT });
  document.moveDown(1.2);
  text(document, `Statement for ${monthName(statement.period)}`, { size: 22, bold: true });
  document.moveDown(0.8);
  pairs(document, [
    ['Number', statement.number],
    ['For', customer],
    [
      'Period',
      `${day(statement.startsAt)} to ${day(new Date(statement.endsAt.getTime() - 1))} (${timezone})`,
    ],
    ['Currency', currency],
  ]);

  heading(document, 'Summary');
  table(document, {
    widths: [0.7, 0.3],
    rows: [
      ['Opening balance', money(statement.openingBalanceMicros)],
      ['Top-ups', moved(statement.topUpsMicros)],
      ['Promotional credit', moved(statement.grantsMicros)],
      ['Usage', moved(statement.usageMicros)],
      ['Fees', moved(statement.feesMicros)],
      ['Refunds', moved(statement.refundsMicros)],
      ['Other', moved(statement.otherMicros)],
    ],
    total: ['Closing balance', money(statement.closingBalanceMicros)],
  });
  if (statement.arrearsMicros !== 0n) {
    note(document, `Owed at the end: ${money(statement.arrearsMicros)}.`);
  }

  heading(document, 'Usage by type');
  usage(document, statement.lines, money, 'Nothing was used in this month.');
  if (statement.accruedLines.length > 0) {
    heading(document, 'Used in this month, deducted in the next');
    usage(document, statement.accruedLines, money, '');
    note(document, `Together ${money(statement.accruedMicros)}.`);
  }
  if (statement.lateLines !== null && statement.lateLines.length > 0) {
    heading(document, 'Used in earlier months');
    usage(document, statement.lateLines, money, '');
    note(document, 'Part of the usage above. It was reported after its own month was over.');
  }

  if (fees.length > 0) {
    heading(document, 'Fees');
    table(document, {
      widths: [0.5, 0.3, 0.2],
      header: ['Fee', 'Month', 'Cost'],
      rows: fees.map(({ description, period, amountMicros }) => [
        description,
        monthName(period),
        money(amountMicros),
      ]),
    });
  }

  heading(document, 'Fingerprint');
  text(document, statement.headHash, { size: 9, font: 'Courier' });
  const entries =
    statement.toSeq < statement.fromSeq
      ? `No entry in this month: it is that of entry ${statement.toSeq}.`
      : `Entries ${statement.fromSeq} to ${statement.toSeq}.`;
  note(
    document,
    `${entries} The fingerprint of the last one covers every entry before it: were any of them changed, it would be another. Wallet ${statement.walletId}, closed ${instant(
      statement.closedAt,
      timezone,
      {
        day: 'numeric',
        month: 'long',
        year: 'numeric',
        hour: '2-digit',
        minute: '2-digit',
        hourCycle: 'h23',
      },
    )}.`,
  );
}

function usage(
  document: Document,
  lines: readonly UsageLine[],
  money: (micros: bigint) => string,
  empty: string,
): void {
  if (lines.length === 0) {
    note(document, empty);
    return;
  }
  table(document, {
    widths: [0.34, 0.16, 0.3, 0.2],
    header: ['Type', 'Times', 'Used', 'Cost'],
    rows: lines.map((line) => {
      const { name, used } = usageWords(line.type, line.units);
      return [name, line.count.toLocaleString('en-US'), used, money(line.amountMicros)];
    }),
  });
}

function monthName(period: string): string {
  return instant(new Date(`${period}-01`), 'UTC', { month: 'long', year: 'numeric' });
}

function instant(at: Date, timeZone: string, format: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat('en-GB', { ...format, timeZone }).format(at);
}
