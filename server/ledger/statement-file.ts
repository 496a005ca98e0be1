/**
 * The CSV file of a statement: what it is, its figures, and its fees by name. Amounts stand in it
 * twice: as exact decimal numbers for people, and as micros (1 unit of currency = 1,000,000 micros).
 */
import { isHash } from './hash.ts';
import { formatMicros } from './money.ts';
import type { StatementFee, StatementFigures, StatementLine } from './statement.ts';

/** A statement as its file has it. */
export interface StatementDocument extends StatementFigures {
  readonly number: string;
  /** The wallet's calendar month, `YYYY-MM`, and its half-open instants. */
  readonly period: string;
  readonly startsAt: Date;
  readonly endsAt: Date;
  readonly closedAt: Date;
  readonly currency: string;
  readonly fromSeq: bigint;
  readonly toSeq: bigint;
  /** Of the period's last event, or of the last one before it when the period has none. */
  readonly headHash: string;
}

export const statementColumns = [
  'item',
  'usageType',
  'count',
  'units',
  'amount',
  'amountMicros',
  'currency',
  'value',
] as const;

/** The file's records below its header. */
export function statementFields(
  statement: StatementDocument,
  fees: readonly StatementFee[],
): string[][] {
  const facts = [
    ['number', statement.number],
    ['period', statement.period],
    ['startsAt', statement.startsAt.toISOString()],
    ['endsAt', statement.endsAt.toISOString()],
    ['closedAt', statement.closedAt.toISOString()],
    ['currency', statement.currency],
    ['fromSeq', statement.fromSeq.toString()],
    ['toSeq', statement.toSeq.toString()],
    ['headHash', statement.headHash],
  ];
  return [
    ...facts.map(([item = '', value = '']) => [item, '', '', '', '', '', '', value]),
    ...figureFields(statement, statement.currency),
    ...feeFields(fees, statement.currency),
  ];
}

/** The figures, in the order in which they add up. */
export function figureFields(figures: StatementFigures, currency: string): string[][] {
  const row = (item: string, micros: bigint, line?: StatementLine) => [
    item,
    line?.type ?? '',
    line?.count.toString() ?? '',
    line?.units.toString() ?? '',
    formatMicros(micros, 0),
    micros.toString(),
    currency,
    '',
  ];
  return [
    row('openingBalance', figures.openingBalanceMicros),
    row('topUps', figures.topUpsMicros),
    row('grants', figures.grantsMicros),
    row('usage', figures.usageMicros),
    row('fees', figures.feesMicros),
    row('refunds', figures.refundsMicros),
    row('other', figures.otherMicros),
    row('closingBalance', figures.closingBalanceMicros),
    row('arrears', figures.arrearsMicros),
    ...figures.lines.map((line) => row('usageOfType', line.amountMicros, line)),
    row('accrued', figures.accruedMicros),
    ...figures.accruedLines.map((line) => row('accruedOfType', line.amountMicros, line)),
    ...(figures.lateLines === null
      ? []
      : [
          row(LATE_ITEM, sumOf(figures.lateLines)),
          ...figures.lateLines.map((line) => row('lateUsageOfType', line.amountMicros, line)),
        ]),
  ];
}

function sumOf(lines: readonly StatementLine[]): bigint {
  return lines.reduce((sum, { amountMicros }) => sum + amountMicros, 0n);
}

/** In the file of every statement that tells late usage apart, even where there was none. */
const LATE_ITEM = 'lateUsage';
const FEE_ITEM = 'feeOfMonth';

/** Fees, each with its name and month: `+14155550132, 2026-10`. They come to the figure `fees`. */
export function feeFields(fees: readonly StatementFee[], currency: string): string[][] {
  return fees.map(({ description, period, amountMicros }) => [
    FEE_ITEM,
    '',
    '',
    '',
    formatMicros(amountMicros, 0),
    amountMicros.toString(),
    currency,
    `${description}, ${period}`,
  ]);
}

/** What a statement's file says, with the lines on which it says so. */
export interface ReadStatement {
  readonly currency: string;
  readonly startsAt: Date;
  readonly endsAt: Date;
  readonly fromSeq: bigint;
  readonly toSeq: bigint;
  readonly headHash: string;
  readonly figures: readonly { readonly line: number; readonly fields: readonly string[] }[];
  /** Whether it names fees. Older files do not, and stay provable. */
  readonly namesFees: boolean;
  /** Whether it says which usage came late. Older files do not, and stay provable. */
  readonly tellsLateUsage: boolean;
}

/** Reads the records below the header; answers the problem when they are not a statement. */
export function readStatementFields(
  records: readonly { readonly line: number; readonly fields: readonly string[] }[],
): ReadStatement | string {
  const odd = records.find(({ fields }) => fields.length !== statementColumns.length);
  if (odd !== undefined) {
    return `line ${odd.line} has ${odd.fields.length} fields instead of ${statementColumns.length}`;
  }
  const fact = (item: string) => records.find(({ fields }) => fields[0] === item)?.fields[7] ?? '';
  const seq = (item: string) => (/^\d{1,18}$/.test(fact(item)) ? BigInt(fact(item)) : null);
  const instant = (item: string) => {
    const at = new Date(fact(item));
    return Number.isNaN(at.getTime()) ? null : at;
  };
  const [currency, headHash] = [fact('currency'), fact('headHash')];
  const [startsAt, endsAt] = [instant('startsAt'), instant('endsAt')];
  const [fromSeq, toSeq] = [seq('fromSeq'), seq('toSeq')];
  if (startsAt === null || endsAt === null) {
    return 'startsAt or endsAt is no time like 2026-10-01T00:00:00.000Z';
  }
  if (currency === '' || !isHash(headHash) || fromSeq === null || toSeq === null) {
    return 'currency, fromSeq, toSeq or headHash is missing';
  }
  const start = records.findIndex(({ fields }) => fields[0] === 'openingBalance');
  if (start === -1) {
    return 'openingBalance is missing';
  }
  const figures = records.slice(start);
  const has = (item: string) => figures.some(({ fields }) => fields[0] === item);
  return {
    currency,
    startsAt,
    endsAt,
    fromSeq,
    toSeq,
    headHash,
    figures,
    namesFees: has(FEE_ITEM),
    tellsLateUsage: has(LATE_ITEM),
  };
}
