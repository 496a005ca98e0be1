/**
 * The CSV file of a statement's events: every event of its period in the form that the chain of
 * hashes covers. Amounts stand in it twice: as exact decimal numbers for people, and as micros
 * (1 unit of currency = 1,000,000 micros).
 */
import { isHash, type StoredEvent } from './hash.ts';
import { formatMicros, maxMicros, minMicros } from './money.ts';
import { toldUsage } from './statement.ts';

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
    amount: formatMicros(event.balanceDeltaMicros, 0),
    balance: formatMicros(event.balanceMicros, 0),
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
