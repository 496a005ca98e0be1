/** Charging call records, many at once, and counting what became of each. */
import { TRPCClientError } from '@trpc/client';
import type { BillingClient } from '../client/client.ts';
import { describeRefusal } from '../client/communication.ts';
import type { CallRecord, CallRecordRow } from './asterisk-cdr.ts';

/** Rows sent in one call of `usage.chargeBatch`. */
const BATCH = 100;

export interface ImportProblem {
  readonly line: number;
  readonly code: string;
  readonly message: string;
}

export interface ImportSummary {
  rows: number;
  charged: number;
  /** Sum of the rows charged by this run. */
  chargedMicros: bigint;
  /** Charged by an earlier run. */
  replayed: number;
  /** Not answered, or shorter than a second: nothing to charge. */
  skipped: number;
  refused: number;
  /** Rows that cannot be read. */
  wrong: number;
  /** The refused and the wrong rows, by line. */
  problems: ImportProblem[];
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
  readonly open: boolean;
  readonly onProgress: (summary: ImportSummary) => void;
}): Promise<ImportSummary> {
  const { client, userOf, currency, onProgress } = options;
  const summary: ImportSummary = {
    rows: 0,
    charged: 0,
    chargedMicros: 0n,
    replayed: 0,
    skipped: 0,
    refused: 0,
    wrong: 0,
    problems: [],
  };
  const opened = new Set<string>();
  let batch: { line: number; userId: string; record: CallRecord }[] = [];

  async function flush(): Promise<void> {
    const items = batch;
    batch = [];
    if (options.open) {
      for (const { userId } of items) {
        if (!opened.has(userId)) {
          await client.wallets.open.mutate({ userId, ...(currency !== undefined && { currency }) });
          opened.add(userId);
        }
      }
    }
    const answers = await client.usage.chargeBatch.mutate({
      items: items.map(({ userId, record }) => ({
        userId,
        ...(currency !== undefined && { currency }),
        referenceId: record.referenceId,
        occurredAt: record.startedAt.toISOString(),
        usage: {
          type: 'call',
          durationSeconds: record.billsec,
          to: record.dst,
          ...(record.src !== '' && { from: record.src }),
        },
      })),
    });
    for (const [index, { line }] of items.entries()) {
      const answer = answers[index];
      if (answer === undefined) {
        throw new Error('the service answered fewer items than it was asked');
      }
      if (!answer.ok) {
        summary.refused += 1;
        summary.problems.push({ line, code: answer.code, message: describeRefusal(answer) });
      } else if (answer.replayed) {
        summary.replayed += 1;
      } else {
        summary.charged += 1;
        summary.chargedMicros += BigInt(answer.amountMicros);
      }
    }
    onProgress(summary);
  }

  for await (const row of options.rows) {
    summary.rows += 1;
    const userId = row.ok ? userOf(row.record) : undefined;
    if (!row.ok) {
      summary.wrong += 1;
      summary.problems.push({ line: row.line, code: 'WRONG_ROW', message: row.error });
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

/** An error of the typed client in a sentence that says what to do. */
export function describeClientError(error: unknown, url: string): string {
  if (!(error instanceof TRPCClientError)) {
    return error instanceof Error ? error.message : String(error);
  }
  const data: { code?: string; requestId?: string } | undefined = error.data;
  if (data?.code === undefined) {
    return `The service at ${url} cannot be reached.`;
  }
  return `${data.code}: ${error.message} (request ${data.requestId ?? 'without id'})`;
}
