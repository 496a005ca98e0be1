/**
 * The two CSV files that a user gets of a statement: its figures, and every event of its period in
 * the form that the chain of hashes covers. Amounts stand in them twice: as exact decimal numbers
 * for people, and as micros (1 unit of currency = 1,000,000 micros).
 */
import type { StoredEvent } from './hash.ts';
import { formatMicros, maxMicros, minMicros } from './money.ts';
import {
  type StatementFee,
  type StatementFigures,
  type StatementLine,
  toldUsage,
} from './statement.ts';

/** An event with its place in the chain, hashes in lower-case hex. */
export interface ChainedEvent extends StoredEvent {
  /** Of the event before it; 64 zeros before a wallet's first event. */
  readonly previousHash: string;
  readonly hash: string;
}

export const eventColumns = [
  'seq',
  'recordedAt',
  'occurredAt',
  'type',
  'usageType',
  'units',
  'currency',
  'amount',
  'balance',
  'balanceDeltaMicros',
  'heldDeltaMicros',
  'arrearsDeltaMicros',
  'balanceMicros',
  'heldMicros',
  'arrearsMicros',
  'overdraftLimitMicros',
  'walletId',
  'key',
  'requestHash',
  'actor',
  'detail',
  'previousHash',
  'hash',
] as const;
type EventColumn = (typeof eventColumns)[number];

/** An event's fields, in the order of {@link eventColumns}. */
export function eventFields(event: ChainedEvent, currency: string): string[] {
  const { told, type, units } = toldUsage(event.detailText);
  const fields: Readonly<Record<EventColumn, string>> = {
    seq: event.seq.toString(),
    recordedAt: instantText(event.recordedAtMicroseconds),
    occurredAt: instantText(event.occurredAtMicroseconds),
    type: event.type,
    usageType: told ? type : '',
    units: told ? units.toString() : '',
    currency,
    amount: decimal(event.balanceDeltaMicros),
    balance: decimal(event.balanceMicros),
    balanceDeltaMicros: event.balanceDeltaMicros.toString(),
    heldDeltaMicros: event.heldDeltaMicros.toString(),
    arrearsDeltaMicros: event.arrearsDeltaMicros.toString(),
    balanceMicros: event.balanceMicros.toString(),
    heldMicros: event.heldMicros.toString(),
    arrearsMicros: event.arrearsMicros.toString(),
    overdraftLimitMicros: event.overdraftLimitMicros.toString(),
    walletId: event.walletId,
    key: event.key ?? '',
    requestHash: event.requestHash ?? '',
    actor: event.actor,
    detail: event.detailText,
    previousHash: event.previousHash,
    hash: event.hash,
  };
  return eventColumns.map((column) => fields[column]);
}

export type ReadEvent =
  | { readonly ok: true; readonly event: ChainedEvent; readonly currency: string }
  | { readonly ok: false; readonly problem: string };

/** Reads an event's fields; each has to be exactly what {@link eventFields} writes. */
export function readEventFields(fields: readonly string[]): ReadEvent {
  if (fields.length !== eventColumns.length) {
    return wrong(`it has ${fields.length} fields instead of ${eventColumns.length}`);
  }
  const text = (column: EventColumn) => fields[eventColumns.indexOf(column)] ?? '';
  const problems: string[] = [];
  const whole = (column: EventColumn): bigint => {
    const value = text(column);
    const parsed = /^(?:0|-?[1-9]\d{0,18})$/.test(value) ? BigInt(value) : null;
    if (parsed === null || parsed < minMicros || parsed > maxMicros) {
      problems.push(`${column} is not a whole number`);
      return 0n;
    }
    return parsed;
  };
  const instant = (column: EventColumn): bigint => {
    const microseconds = readInstant(text(column));
    if (microseconds === null) {
      problems.push(`${column} is not a time like 2026-10-31T23:59:59.123456Z`);
    }
    return microseconds ?? 0n;
  };
  const event: ChainedEvent = {
    walletId: text('walletId'),
    seq: whole('seq'),
    type: text('type'),
    balanceDeltaMicros: whole('balanceDeltaMicros'),
    heldDeltaMicros: whole('heldDeltaMicros'),
    arrearsDeltaMicros: whole('arrearsDeltaMicros'),
    balanceMicros: whole('balanceMicros'),
    heldMicros: whole('heldMicros'),
    arrearsMicros: whole('arrearsMicros'),
    overdraftLimitMicros: whole('overdraftLimitMicros'),
    key: text('key'),
    requestHash: text('requestHash'),
    actor: text('actor'),
    occurredAtMicroseconds: instant('occurredAt'),
    recordedAtMicroseconds: instant('recordedAt'),
    detailText: text('detail'),
    previousHash: text('previousHash'),
    hash: text('hash'),
  };
  for (const column of ['previousHash', 'hash'] as const) {
    if (!isHash(text(column))) {
      problems.push(`${column} is not a SHA-256 in lower-case hex`);
    }
  }
  if (!isJson(event.detailText)) {
    problems.push('detail is no JSON');
  }
  const [problem] = problems;
  if (problem !== undefined) {
    return wrong(problem);
  }
  // What stands there twice, such as an amount and its micros, must say the same.
  const written = eventFields(event, text('currency'));
  const differs = eventColumns.find((_, index) => written[index] !== fields[index]);
  return differs === undefined
    ? { ok: true, event, currency: text('currency') }
    : wrong(`${differs} does not say what the rest of the line says`);
}

function wrong(problem: string): { ok: false; problem: string } {
  return { ok: false, problem };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether a text is a SHA-256 in lower-case hex. */
export function isHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** An instant to the microsecond: a `Date` would lose the last three digits. */
function instantText(microseconds: bigint): string {
  // Rounded down, before 1970 too.
  const ms = Math.floor(Number(microseconds) / 1_000);
  const digits = String(microseconds - BigInt(ms) * 1_000n).padStart(3, '0');
  return new Date(ms).toISOString().replace('Z', `${digits}Z`);
}

function readInstant(text: string): bigint | null {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})(\d{3})Z$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}Z`);
  return Number.isNaN(ms) ? null : BigInt(ms) * 1_000n + BigInt(match?.[2] ?? '0');
}

/** The exact decimal number, without needless zeros: `-0.375`, `25`. */
function decimal(micros: bigint): string {
  return formatMicros(micros, 0);
}

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

/** The file's records behind its header: what the statement is, its figures, and its fees by name. */
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
    decimal(micros),
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

/** Stands in the file of each statement that says what came late, even when nothing did. */
const LATE_ITEM = 'lateUsage';
const FEE_ITEM = 'feeOfMonth';

/** Fees, each with its name and month: `+14155550132, 2026-10`. They come to the figure `fees`. */
export function feeFields(fees: readonly StatementFee[], currency: string): string[][] {
  return fees.map(({ description, period, amountMicros }) => [
    FEE_ITEM,
    '',
    '',
    '',
    decimal(amountMicros),
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
  /** Whether it names fees: files of before they had names do not, and stay provable. */
  readonly namesFees: boolean;
  /** Whether it says which usage came late: those of before it was told apart stay provable, too. */
  readonly tellsLateUsage: boolean;
}

/** Reads the records behind the header; the problem, when they are no statement. */
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
