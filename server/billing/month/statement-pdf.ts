/** A statement as a PDF: A4, the same bytes for the same statement and address, for ever. */
import PDFDocument from 'pdfkit';
import { ACCENT, INK, INK_SOFT, LINE } from '../../colors.ts';
import { formatMoney } from '../../ledger/money.ts';
import type { StatementFee } from '../../ledger/statement.ts';
import type { StatementView } from '../../views/statements.ts';
import type { UsageLine } from '../../views/wallets.ts';
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

const MARGIN = 56;

type Document = InstanceType<typeof PDFDocument>;

/** Draws it. Nothing is read from the clock, and the fonts are those that every reader has. */
export function statementPdf(options: StatementPdfOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { statement, appName } = options;
  const document = new PDFDocument({
    size: 'A4',
    margins: { top: MARGIN, bottom: MARGIN + 28, left: MARGIN, right: MARGIN },
    bufferPages: true,
    // How deflate packs is not the same in every version of Node.
    compress: false,
    lang: 'en',
    displayTitle: true,
    info: {
      Title: `Statement ${statement.number}`,
      Author: plain(appName),
      Creator: plain(appName),
      Producer: plain(appName),
      CreationDate: statement.closedAt,
    },
  });
  const bytes = collect(document);
  draw(document, options);
  numberPages(document, statement.number);
  document.end();
  return bytes;
}

async function collect(document: Document): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of document) {
    chunks.push(chunk as Uint8Array);
  }
  return new Uint8Array(Buffer.concat(chunks));
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

interface Table {
  /** Parts of the page's width; the first column stands to the left, the others to the right. */
  readonly widths: readonly number[];
  readonly header?: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly total?: readonly string[];
}

const ROW_HEIGHT = 22;

function table(document: Document, { widths, header, rows, total }: Table): void {
  const width = contentWidth(document);
  const row = (cells: readonly string[], bold: boolean, color: string) => {
    setFont(document, { size: 10.5, bold, color });
    const height = firstCellHeight(document, cells, (widths[0] ?? 0) * width);
    keepTogether(document, height);
    const top = document.y;
    let left = MARGIN;
    for (const [index, cell] of cells.entries()) {
      const cellWidth = (widths[index] ?? 0) * width;
      setFont(document, { size: 10.5, bold, color });
      document.text(plain(cell), left, top + 6, {
        width: cellWidth,
        align: index === 0 ? 'left' : 'right',
        lineBreak: index === 0,
      });
      left += cellWidth;
    }
    document.x = MARGIN;
    document.y = top + height;
    rule(document);
  };
  if (header !== undefined) row(header, false, INK_SOFT);
  for (const cells of rows) row(cells, false, INK);
  if (total !== undefined) row(total, true, INK);
}

/** The name of a row may take several lines. */
function firstCellHeight(document: Document, [name = '']: readonly string[], width: number) {
  return Math.max(ROW_HEIGHT, document.heightOfString(plain(name), { width }) + 10);
}

function rule(document: Document): void {
  document
    .moveTo(MARGIN, document.y)
    .lineTo(MARGIN + contentWidth(document), document.y)
    .lineWidth(0.75)
    .stroke(LINE);
}

function pairs(document: Document, values: readonly (readonly [string, string])[]): void {
  const labelWidth = 80;
  for (const [label, value] of values) {
    const top = document.y;
    setFont(document, { size: 10.5, color: INK_SOFT });
    document.text(label, MARGIN, top, { width: labelWidth });
    setFont(document, { size: 10.5 });
    document.text(plain(value), MARGIN + labelWidth, top, {
      width: contentWidth(document) - labelWidth,
    });
    document.y += 3;
  }
  document.x = MARGIN;
}

function heading(document: Document, title: string): void {
  keepTogether(document, 90);
  document.y += 24;
  text(document, title, { size: 13, bold: true });
  document.y += 4;
}

function note(document: Document, words: string): void {
  document.y += 6;
  text(document, words, { size: 9.5, color: INK_SOFT });
}

interface Look {
  readonly size: number;
  readonly bold?: boolean;
  readonly color?: string;
  readonly font?: 'Helvetica' | 'Courier';
}

function text(document: Document, words: string, look: Look): void {
  setFont(document, look);
  document.text(plain(words), MARGIN, document.y, { width: contentWidth(document), lineGap: 2 });
}

function setFont(document: Document, { size, bold, color = INK, font = 'Helvetica' }: Look): void {
  document
    .font(bold ? `${font}-Bold` : font)
    .fontSize(size)
    .fillColor(color);
}

/** Begins a new page when there is no room for so much on this one. */
function keepTogether(document: Document, height: number): void {
  if (document.y + height > document.page.height - document.page.margins.bottom) {
    document.addPage();
  }
}

function numberPages(document: Document, number: string): void {
  const { count } = document.bufferedPageRange();
  for (let page = 0; page < count; page += 1) {
    document.switchToPage(page);
    // Below the margin, where text would begin a new page.
    document.page.margins.bottom = 0;
    setFont(document, { size: 9, color: INK_SOFT });
    document.text(`Statement ${number}`, MARGIN, document.page.height - MARGIN, {
      lineBreak: false,
    });
    document.text(`Page ${page + 1} of ${count}`, MARGIN, document.page.height - MARGIN, {
      width: contentWidth(document),
      align: 'right',
      lineBreak: false,
    });
  }
}

function contentWidth(document: Document): number {
  return document.page.width - 2 * MARGIN;
}

/** What the standard fonts have beside Latin-1 (ISO 32000-1, annex D, WinAnsiEncoding). */
const BEYOND_LATIN_1 = new Set('ƒ–—‘’‚“”„†‡•…€‰‹›ˆ™ŒœŠšŸŽž˜');

/**
 * The text in signs that the standard fonts have. Others, such as those of an address in another
 * script, are named by their code point: left out, two addresses could look the same.
 */
function plain(words: string): string {
  return Array.from(words.normalize('NFC').replaceAll(/[\s\u00a0\u202f]/g, ' '), (sign) =>
    /[ -~¡-ÿ]/.test(sign) || BEYOND_LATIN_1.has(sign)
      ? sign
      : `{U+${sign.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}}`,
  ).join('');
}

function monthName(period: string): string {
  return instant(new Date(`${period}-01`), 'UTC', { month: 'long', year: 'numeric' });
}

function instant(at: Date, timeZone: string, format: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat('en-GB', { ...format, timeZone }).format(at);
}
