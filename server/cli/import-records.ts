/** Charging call records, many at once, and counting what became of each. */
import { type BillingClient, BillingError } from '../client/client.ts';
import type { ChargeAnswer } from '../client/procedures.ts';
import { describeRefusal } from '../client/refusals.ts';
import type { CallRecord, CallRecordRow } from './asterisk-cdr.ts';

/** Rows sent in one call of `usage.chargeBatch`. */
const BATCH = 100;

/** What becomes of a call that the wallet cannot pay for: nothing, or arrears. */
export type Overrun = 'refuse' | 'arrears';

export interface ImportProblem {
  readonly line: number;
  readonly code: string;
  readonly message: string;
}

export interface ImportSummary {
  rows: number;
  charged: number;
  /** Sum of the rows charged by this run, less what was billed of them while they ran. */
  chargedMicros: bigint;
  /** Charged by an earlier run. */
  replayed: number;
  /** Authorized while they ran, and billed so already, with the same figures. */
  billedLive: number;
  /** Billed so with other figures: nothing is charged, and people decide which are right. */
  different: number;
  /** Not answered, or shorter than a second: nothing to charge. */
  skipped: number;
  refused: number;
  /** Rows that cannot be read, or that the service does not take. */
  wrong: number;
  /** The different, the refused and the wrong rows, by line. */
  problems: ImportProblem[];
}

interface Item {
  readonly line: number;
  readonly userId: string;
  readonly record: CallRecord;
}

/**
 * Charges the billable rows in order. A refused or wrong row is counted and does not stop the rest.
 * Throws when the service cannot be reached or does not accept the key; running again is safe.
 */
export async function importRecords(options: {
  readonly rows: AsyncIterable<CallRecordRow>;
  readonly client: BillingClient;
  readonly userOf: (record: CallRecord) => string | undefined;
  readonly currency: string | undefined;
  readonly overrun: Overrun;
  readonly open: boolean;
  readonly onProgress: (summary: ImportSummary) => void;
}): Promise<ImportSummary> {
  const { client, userOf, currency, overrun, onProgress } = options;
  const summary: ImportSummary = {
    rows: 0,
    charged: 0,
    chargedMicros: 0n,
    replayed: 0,
    billedLive: 0,
    different: 0,
    skipped: 0,
    refused: 0,
    wrong: 0,
    problems: [],
  };
  const openings = new Map<string, string | null>();
  let batch: Item[] = [];

  /** What is wrong with opening the user's wallet, or null; asked once a user. */
  async function openFor(userId: string): Promise<string | null> {
    const known = openings.get(userId);
    if (known !== undefined) {
      return known;
    }
    let problem: string | null = null;
    try {
      await client.wallets.open.mutate({ userId, ...(currency !== undefined && { currency }) });
    } catch (error) {
      problem = malformed(error);
    }
    openings.set(userId, problem);
    return problem;
  }

  async function flush(): Promise<void> {
    const items: Item[] = [];
    for (const item of batch) {
      const problem = options.open ? await openFor(item.userId) : null;
      if (problem === null) {
        items.push(item);
      } else {
        countWrong(summary, item.line, problem);
      }
    }
    batch = [];
    await charge(items);
    onProgress(summary);
  }

  /** The service refuses a batch with a malformed item as a whole: it is halved to find that one. */
  async function charge(items: readonly Item[]): Promise<void> {
    if (items.length === 0) {
      return;
    }
    let answers: Awaited<ReturnType<typeof send>>;
    try {
      answers = await send(items);
    } catch (error) {
      const problem = malformed(error);
      const [only, ...others] = items;
      if (only !== undefined && others.length === 0) {
        countWrong(summary, only.line, problem.replaceAll(/\bitems\.0\./g, ''));
        return;
      }
      const half = Math.ceil(items.length / 2);
      await charge(items.slice(0, half));
      await charge(items.slice(half));
      return;
    }
    for (const [index, { line }] of items.entries()) {
      const answer = answers[index];
      if (answer === undefined) {
        throw new Error('the service answered fewer items than it was asked');
      }
      count(summary, line, answer);
    }
  }

  function send(items: readonly Item[]) {
    return client.usage.chargeBatch.mutate({
      items: items.map(({ userId, record }) => ({
        userId,
        ...(currency !== undefined && { currency }),
        referenceId: record.referenceId,
        occurredAt: record.startedAt.toISOString(),
        overrun,
        usage: {
          type: 'call',
          durationSeconds: record.billsec,
          to: record.dst,
          ...(record.src !== '' && { from: record.src }),
        },
      })),
    });
  }

  for await (const row of options.rows) {
    summary.rows += 1;
    const userId = row.ok ? userOf(row.record) : undefined;
    if (!row.ok) {
      countWrong(summary, row.line, row.error);
    } else if (!row.record.billable) {
      summary.skipped += 1;
    } else if (userId === undefined || userId === '') {
      summary.wrong += 1;
      const message = 'the user field is empty';
      summary.problems.push({ line: row.line, code: 'NO_USER', message });
    } else {
      batch.push({ line: row.line, userId, record: row.record });
      if (batch.length === BATCH) {
        await flush();
      }
    }
  }
  if (batch.length > 0) {
    await flush();
  }
  return summary;
}

function count(summary: ImportSummary, line: number, answer: ChargeAnswer): void {
  if (!answer.ok) {
    const message = describeRefusal(answer);
    const isBilledLive = 'hold' in answer && answer.hold !== undefined;
    summary[isBilledLive ? 'different' : 'refused'] += 1;
    summary.problems.push({ line, code: isBilledLive ? 'DIFFERENT' : answer.code, message });
  } else if (answer.replayed) {
    summary[answer.hold === undefined ? 'replayed' : 'billedLive'] += 1;
  } else {
    summary.charged += 1;
    summary.chargedMicros +=
      BigInt(answer.amountMicros) - BigInt(answer.hold?.alreadyBilledMicros ?? 0);
  }
}

function countWrong(summary: ImportSummary, line: number, message: string): void {
  summary.wrong += 1;
  summary.problems.push({ line, code: 'WRONG_ROW', message });
}

/** What the service calls malformed; any other error is thrown on. */
function malformed(error: unknown): string {
  if (error instanceof BillingError && error.code === 'BAD_REQUEST') {
    return error.message;
  }
  throw error;
}

/** An error of the typed client in a sentence that says what to do. */
export function describeClientError(error: unknown, url: string): string {
  if (!(error instanceof BillingError)) {
    return error instanceof Error ? error.message : String(error);
  }
  const { code, message, requestId } = error;
  return code === 'UNREACHABLE'
    ? `The service at ${url} cannot be reached.`
    : `${code}: ${message} (request ${requestId ?? 'without id'})`;
}
