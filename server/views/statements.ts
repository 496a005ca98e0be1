/** Statements of closed months, as pages see them. */
import type { FeeLine } from './subscriptions.ts';
import type { UsageLine } from './wallets.ts';

export interface StatementView {
  walletId: string;
  /** Human number, for example `2026-10-000042`: unique, never reused. */
  number: string;
  /** The wallet's calendar month, `YYYY-MM`, and its half-open UTC instants. */
  period: string;
  startsAt: Date;
  endsAt: Date;
  /** The wallet's, by which its months begin and end. */
  timezone: string;
  currency: string;
  openingBalanceMicros: bigint;
  closingBalanceMicros: bigint;
  /** Sums of the period, signed as they moved the balance. */
  topUpsMicros: bigint;
  grantsMicros: bigint;
  usageMicros: bigint;
  feesMicros: bigint;
  refundsMicros: bigint;
  otherMicros: bigint;
  arrearsMicros: bigint;
  lines: UsageLine[];
  /** What a deferred wallet reserved in the period, which is deducted in the next. */
  accruedMicros: bigint;
  accruedLines: UsageLine[];
  /**
   * The part of the usage of both that occurred before the period began: it was recorded after its
   * own month was over. Null on statements closed before these lines were introduced.
   */
  lateLines: UsageLine[] | null;
  fromSeq: bigint;
  toSeq: bigint;
  /** Lower-case hex head of the wallet's hash chain at the period's end. */
  headHash: string;
  closedAt: Date;
}

export interface StatementDownload {
  /** As the browser should save it. */
  fileName: string;
  contentType: string;
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
}

/** Reading the statements. */
export interface StatementServices {
  /** Of all of the user's wallets, newest first. */
  list(userId: string): Promise<StatementView[]>;
  /** Null when no wallet of the user has a statement of that number. */
  get(userId: string, number: string): Promise<StatementView | null>;
  /** The fees that were posted in a statement's month, by name. */
  fees(statement: Pick<StatementView, 'walletId' | 'fromSeq' | 'toSeq'>): Promise<FeeLine[]>;
  /**
   * A file of that statement: the document (`statement.pdf`), its figures (`statement.csv`), or every
   * event of its period with its place in the chain of hashes (`events.csv`). `customer` is who the
   * document is for. Null when the user has no such statement, or it has no such file.
   */
  download(request: {
    userId: string;
    customer: string;
    number: string;
    file: string;
  }): Promise<StatementDownload | null>;
  /** Whether the user gets statements by mail; what is set holds for those closed from then on. */
  sendsByMail(userId: string): Promise<boolean>;
  sendByMail(userId: string, byMail: boolean): Promise<void>;
}
