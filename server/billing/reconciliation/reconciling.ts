/** Stripe's list against the ledger, both ways; what differs is recorded, and told of once. */
import type { Logger } from 'pino';
import {
  closeDifferences,
  type Difference,
  type DifferenceKind,
  lookBegins,
  recordDifferences,
  takeUnreported,
  touchReconciliation,
} from '../../store/reconciliation.ts';
import type { Sql } from '../../store/sql.ts';

/** Half-open: from `from` to just before `to`. */
export interface TimeRange {
  readonly from: Date;
  readonly to: Date;
}

/**
 * Compares one kind of Stripe's objects with the ledger. Stripe lists newest first, so a list is
 * read in pages that each stand for a span of time, and never held as a whole.
 */
export interface Comparer<Item> {
  readonly kind: DifferenceKind;
  /** Stripe's objects made in the range, newest first. */
  list(range: TimeRange): AsyncIterable<Item>;
  createdAt(item: Item): Date;
  /**
   * What differs between a page of Stripe's list and the ledger, and, the other way, what the ledger
   * has of the page's span of time that is not on the page.
   */
  compare(items: readonly Item[], span: TimeRange, now: Date): Promise<Difference[]>;
  /** Brings the ledger to what Stripe says where that can be done; true when it did anything. */
  settle?(items: readonly Item[], found: readonly Difference[]): Promise<boolean>;
}

/** A comparer whose kind of object is nobody else's business. */
export interface Comparison {
  readonly kind: DifferenceKind;
  run(given: {
    range: TimeRange;
    now: Date;
    settle: boolean;
    onDifference: (difference: Difference) => Promise<void> | void;
  }): Promise<{ checked: number; differences: number }>;
}

/** Comes before every id of a row of the ledger. */
export const FIRST_UUID = '00000000-0000-0000-0000-000000000000';
/** Rows of the ledger that are read at a time. */
export const LEDGER_PAGE = 500;

/** Rows that are read by their id, `LEDGER_PAGE` at a time. */
export async function* ledgerRows<Row>(
  read: (afterId: string) => Promise<readonly Row[]>,
  idOf: (row: Row) => string,
  firstId: string,
): AsyncGenerator<Row> {
  let afterId = firstId;
  for (;;) {
    const rows = await read(afterId);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < LEDGER_PAGE) {
      return;
    }
    afterId = idOf(last);
  }
}

/** Objects of a page: as many as one call of Stripe's lists. */
const PAGE_SIZE = 100;

/** Makes a comparer of pages into one of whole ranges. */
export function comparison<Item>(sql: Sql, comparer: Comparer<Item>): Comparison {
  const { kind } = comparer;
  return {
    kind,
    async run({ range, now, settle, onDifference }) {
      const since = await lookBegins(sql);
      const counts = { checked: 0, differences: 0 };
      for await (const { items, span } of pages(comparer, range)) {
        let found = await comparer.compare(items, span, now);
        if (settle && found.length > 0 && (await comparer.settle?.(items, found))) {
          found = await comparer.compare(items, span, now);
        }
        const distinct = [
          ...new Map(found.map((each) => [`${each.objectId} ${each.problem}`, each])).values(),
        ];
        await recordDifferences(sql, kind, distinct);
        for (const difference of distinct) {
          await onDifference(difference);
        }
        counts.checked += items.length;
        counts.differences += distinct.length;
      }
      await closeDifferences(sql, kind, range, since);
      return counts;
    },
  };
}

/** The list in pages, each with the span from its oldest object to the oldest of the page before. */
async function* pages<Item>(
  comparer: Comparer<Item>,
  range: TimeRange,
): AsyncGenerator<{ items: Item[]; span: TimeRange }> {
  let to = range.to;
  let items: Item[] = [];
  for await (const item of comparer.list(range)) {
    items.push(item);
    if (items.length === PAGE_SIZE) {
      const from = comparer.createdAt(item);
      yield { items, span: { from, to } };
      to = from;
      items = [];
    }
  }
  yield { items, span: { from: range.from, to } };
}

const DAY_MS = 86_400_000;
/** How far back the daily run looks: a payment by a slow method may be made weeks before it is paid. */
const DAILY_REACH_DAYS = 35;
/** Disputes are few, and a bank may take months to decide. */
const DISPUTE_REACH_DAYS = 200;
const REPORT_LIMIT = 200;

/** The half-open range of payments that the daily run of a UTC day (`2026-01-31`) compares. */
export function rangeOfDay(day: string): TimeRange {
  const midnightMs = Date.parse(`${day}T00:00:00Z`);
  return {
    from: new Date(midnightMs - DAILY_REACH_DAYS * DAY_MS),
    to: new Date(midnightMs + DAY_MS),
  };
}

/** One step of the daily run. Instants are ISO 8601. */
export interface DailyRange {
  from: string;
  to: string;
  /** What is compared in it; all there is when it is left out. */
  kinds?: DifferenceKind[] | undefined;
}

export interface Reconciliation {
  /** The ranges that the daily run of the UTC day of `at` goes through. */
  plan(at: Date): { day: string; ranges: DailyRange[] };
  /** Applies what no webhook brought in the range, then compares it. Safe to repeat. */
  reconcileRange(
    input: DailyRange & { day: string },
  ): Promise<{ checked: number; differences: number }>;
  /** Ends the day's run, and tells of the differences that nobody was told of yet. */
  finish(day: string): Promise<{ reported: number }>;
  /** All of it, for a command or a process that does it by itself. */
  compare(given: {
    range: TimeRange;
    kinds?: readonly DifferenceKind[] | undefined;
    settle: boolean;
    onDifference: (kind: DifferenceKind, difference: Difference) => Promise<void> | void;
  }): Promise<{ checked: Record<string, number>; differences: number }>;
}

/** The comparisons, in the order in which they are made: credits before what takes them back. */
export function createReconciliation(options: {
  sql: Sql;
  comparisons: readonly Comparison[];
  clock: () => Date;
  logger: Logger;
}): Reconciliation {
  const { sql, comparisons, clock, logger } = options;

  const compare: Reconciliation['compare'] = async (given) => {
    const { range, kinds, settle, onDifference } = given;
    const checked: Record<string, number> = {};
    let differences = 0;
    for (const { kind, run } of comparisons) {
      if (kinds !== undefined && !kinds.includes(kind)) continue;
      const counts = await run({
        range,
        settle,
        now: clock(),
        onDifference: (difference) => onDifference(kind, difference),
      });
      checked[kind] = counts.checked;
      differences += counts.differences;
    }
    return { checked, differences };
  };

  return {
    compare,

    plan(at) {
      const midnightMs = Math.floor(at.getTime() / DAY_MS) * DAY_MS;
      const iso = (ms: number) => new Date(ms).toISOString();
      const days = Array.from({ length: DAILY_REACH_DAYS + 1 }, (_, index) => {
        const fromMs = midnightMs - (DAILY_REACH_DAYS - index) * DAY_MS;
        return { from: iso(fromMs), to: iso(fromMs + DAY_MS) };
      });
      const before: DailyRange = {
        from: iso(midnightMs - DISPUTE_REACH_DAYS * DAY_MS),
        to: iso(midnightMs - DAILY_REACH_DAYS * DAY_MS),
        kinds: ['dispute'],
      };
      return { day: iso(midnightMs).slice(0, 10), ranges: [...days, before] };
    },

    async reconcileRange({ day, from, to, kinds }) {
      await touchReconciliation(sql, day, false);
      const { checked, differences } = await compare({
        range: { from: new Date(from), to: new Date(to) },
        kinds,
        settle: true,
        onDifference: () => {},
      });
      return {
        checked: Object.values(checked).reduce((sum, count) => sum + count, 0),
        differences,
      };
    },

    async finish(day) {
      let reported = 0;
      let fresh = await takeUnreported(sql, REPORT_LIMIT);
      while (fresh.length > 0) {
        for (const { id, kind, objectId, problem, walletId, topUpId } of fresh) {
          logger.error(
            { differenceId: String(id), kind, objectId, problem, walletId, topUpId },
            'Stripe and the ledger differ',
          );
        }
        reported += fresh.length;
        fresh = await takeUnreported(sql, REPORT_LIMIT);
      }
      await touchReconciliation(sql, day, true);
      return { reported };
    },
  };
}
