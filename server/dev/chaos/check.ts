/**
 * Holds the callers' journal against the ledger. Pure, so that it can be shown to find what is put
 * wrong on purpose; see self-test.ts.
 */
import type { JournalEntry, Write } from './journal.ts';
import type { LedgerEvent, WalletsLedger } from './ledger-of-wallets.ts';

export type Problem =
  /** An acknowledged write has no event. */
  | 'LOST'
  /** One write has more than one event. */
  | 'DOUBLED'
  | 'WRONG_AMOUNT'
  /** The event stands at another place than the answer said. */
  | 'WRONG_SEQ'
  | 'REFUSED_BUT_POSTED'
  /** A refusal for which there was no reason, such as that there is no such wallet. */
  | 'WRONG_REFUSAL'
  /** A write was never answered, or by an error that says nothing of what became of it. */
  | 'UNRESOLVED'
  /** The ledger holds what nobody asked for. */
  | 'NOT_ASKED_FOR'
  /** More was taken or reserved than the wallet had. */
  | 'OVERSPENT'
  /** What a call used is not what was billed for it. */
  | 'WRONG_BILL'
  /** The wallet's end is not the sum of what its callers were told. */
  | 'WRONG_SUM';

export interface Finding {
  readonly problem: Problem;
  readonly userId: string;
  readonly what: string;
}

export interface CheckOptions {
  /** Holds that their callers left open have run out by now. */
  readonly everyHoldIsOver: boolean;
}

/** What a well-behaved caller may be refused for: funds that ran out, a hold that did. */
const REASONS = new Set(['INSUFFICIENT_FUNDS', 'HOLD_NOT_OPEN']);

/** Everything in which the journal and the ledger of the same wallets disagree. */
export function check(
  journal: readonly JournalEntry[],
  ledger: WalletsLedger,
  { everyHoldIsOver }: CheckOptions,
): Finding[] {
  const findings: Finding[] = [];
  const report = (problem: Problem, userId: string, what: string) =>
    findings.push({ problem, userId, what });

  const byKey = groupBy(
    ledger.events.filter(({ key }) => key !== null),
    ({ userId, key }) => `${userId} ${key}`,
  );
  const asked = new Set<string>();
  for (const entry of journal) {
    const { write, answer } = entry;
    asked.add(`${write.userId} ${write.key}`);
    if (answer === undefined) {
      report('UNRESOLVED', write.userId, `${describe(write)} was never answered`);
      continue;
    }
    if (!answer.ok && !REASONS.has(answer.code)) {
      report('WRONG_REFUSAL', write.userId, `${describe(write)} (${answer.code})`);
    }
    if (write.key === null) {
      continue;
    }
    const events = byKey.get(`${write.userId} ${write.key}`) ?? [];
    if (!answer.ok) {
      if (events.length > 0) {
        report('REFUSED_BUT_POSTED', write.userId, `${describe(write)} (${answer.code})`);
      }
    } else if (events.length === 0) {
      report('LOST', write.userId, `${describe(write)} has no event`);
    } else {
      checkEvent(write, answer, events, report);
    }
  }

  for (const event of ledger.events) {
    if (event.key !== null && !asked.has(`${event.userId} ${event.key}`)) {
      report('NOT_ASKED_FOR', event.userId, `event ${event.seq} (${event.type})`);
    }
    if (event.balanceMicros - event.heldMicros < 0n) {
      report('OVERSPENT', event.userId, `event ${event.seq} leaves less than nothing available`);
    }
  }
  checkReferences(ledger.events, report);
  const expected = checkHolds(journal, ledger, everyHoldIsOver, report);
  checkSums(journal, ledger, expected, report);
  return findings;
}

type Report = (problem: Problem, userId: string, what: string) => void;

function checkEvent(
  write: Write,
  answer: { readonly seq?: string; readonly amountMicros?: string },
  events: readonly LedgerEvent[],
  report: Report,
): void {
  const [event] = events;
  if (events.length > 1 || event === undefined) {
    report('DOUBLED', write.userId, `${describe(write)} has ${events.length} events`);
    return;
  }
  if (answer.seq !== undefined && answer.seq !== String(event.seq)) {
    report('WRONG_SEQ', write.userId, `${describe(write)}: ${event.seq}, not ${answer.seq}`);
  }
  const { amountMicros: told = write.amountMicros } = answer;
  const moved = String(movedBy(write, event));
  if (moved !== write.amountMicros || told !== write.amountMicros) {
    report(
      'WRONG_AMOUNT',
      write.userId,
      `${describe(write)}: asked ${write.amountMicros}, told ${told}, moved ${moved}`,
    );
  }
}

/** What the event of a write moved, in the write's terms; a hold's bill is checked by itself. */
function movedBy(write: Write, event: LedgerEvent): bigint {
  switch (write.kind) {
    case 'charge':
      return usageOf(event);
    case 'grant':
    case 'top_up':
      return event.balanceDeltaMicros;
    case 'authorize':
      return event.heldDeltaMicros;
    case 'extend':
    case 'capture':
    case 'void':
      return BigInt(write.amountMicros);
    default: {
      const unknown: never = write.kind;
      throw new TypeError(`unknown write ${String(unknown)}`);
    }
  }
}

const USAGE_TYPES = new Set(['charge', 'hold_captured', 'hold_expired', 'usage_refund']);

/** What an event bills, taken or owed; negative for what it gives back. */
function usageOf(event: LedgerEvent): bigint {
  return USAGE_TYPES.has(event.type) ? event.arrearsDeltaMicros - event.balanceDeltaMicros : 0n;
}

/** The same usage under two keys is charged twice all the same. */
function checkReferences(events: readonly LedgerEvent[], report: Report): void {
  const charges = events.filter(({ type, holdId }) => type === 'charge' && holdId === null);
  const groups = groupBy(charges, ({ userId, reference }) => `${userId} ${reference}`);
  for (const [event, ...more] of groups.values()) {
    if (event !== undefined && more.length > 0) {
      report('DOUBLED', event.userId, `${event.reference} was charged ${more.length + 1} times`);
    }
  }
}

/** Checks every call's bill, and answers what was to be billed for calls, by wallet. */
function checkHolds(
  journal: readonly JournalEntry[],
  ledger: WalletsLedger,
  everyHoldIsOver: boolean,
  report: Report,
): Map<string, bigint> {
  const billed = new Map<string, bigint>();
  for (const event of ledger.events) {
    if (event.holdId !== null) {
      billed.set(event.holdId, (billed.get(event.holdId) ?? 0n) + usageOf(event));
    }
  }
  const steps = groupBy(journal, ({ write }) => `${write.userId} ${write.reference}`);
  const total = new Map<string, bigint>();
  for (const { userId, holdId, reference, status } of ledger.holds) {
    const own = steps.get(`${userId} ${reference}`) ?? [];
    const bill = billOf(own);
    const isOpen = status === 'open';
    if (isOpen && (everyHoldIsOver || own.some(({ write }) => isEnd(write)))) {
      report('WRONG_BILL', userId, `hold ${reference} is still open`);
    } else if (!isOpen) {
      const actual = billed.get(holdId) ?? 0n;
      total.set(userId, (total.get(userId) ?? 0n) + bill);
      if (actual !== bill) {
        report('WRONG_BILL', userId, `hold ${reference}: ${actual} billed for ${bill} used`);
      }
    }
  }
  return total;
}

/** The price of what was used: of the final record, of nothing, or of the last heartbeat. */
function billOf(steps: readonly JournalEntry[]): bigint {
  const accepted = steps.filter(({ answer }) => answer?.ok);
  if (accepted.some(({ write }) => write.kind === 'void')) {
    return 0n;
  }
  const last = accepted.findLast(({ write }) => write.kind !== 'authorize');
  return last === undefined ? 0n : BigInt(last.write.amountMicros);
}

function isEnd({ kind }: Write): boolean {
  return kind === 'capture' || kind === 'void';
}

/** Adds up what callers were told, without a look at the ledger, and compares the ends. */
function checkSums(
  journal: readonly JournalEntry[],
  ledger: WalletsLedger,
  calls: ReadonlyMap<string, bigint>,
  report: Report,
): void {
  const sums = new Map<string, bigint>();
  const add = (userId: string, micros: bigint) =>
    sums.set(userId, (sums.get(userId) ?? 0n) + micros);
  for (const { write, answer } of journal) {
    if (answer?.ok && (write.kind === 'grant' || write.kind === 'top_up')) {
      add(write.userId, BigInt(write.amountMicros));
    } else if (answer?.ok && write.kind === 'charge') {
      add(write.userId, -BigInt(write.amountMicros));
    }
  }
  for (const [userId, micros] of calls) {
    add(userId, -micros);
  }
  const heads = new Map(ledger.events.map((event) => [event.userId, event]));
  for (const [userId, head] of heads) {
    const actual = head.balanceMicros - head.arrearsMicros;
    const expected = sums.get(userId) ?? 0n;
    if (actual !== expected) {
      report('WRONG_SUM', userId, `ends at ${actual}, its callers were told ${expected}`);
    }
  }
}

function describe({ kind, reference }: Write): string {
  return `${kind} ${reference}`;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, [item]);
    } else {
      group.push(item);
    }
  }
  return groups;
}
