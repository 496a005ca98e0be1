/** What support staff see on their first page. */
export interface BillingStatus {
  runId: string | null;
  period: string;
  status: 'not_started' | 'running' | 'finished';
  wallets: { total: number; billed: number; failed: number; pending: number };
  startedAt: Date | null;
  finishedAt: Date | null;
  nextRunAt: Date;
}

/** A wallet that could not be closed yet. */
export interface MonthFailure {
  walletId: string;
  /** What the database said. */
  sqlstate: string;
  message: string;
  attempts: number;
  failedAt: Date;
  /** When it is tried again by itself. */
  retryAt: Date | null;
}

export interface MonthProgress {
  /** Key ranges of wallets, and how often they were tried in all. */
  ranges: { planned: number; finished: number; attempts: number };
  /** The newest ones first. */
  failures: MonthFailure[];
}

/** How long what is owed may wait. */
export interface ArrearsTerms {
  /** From the closing of the month to the suspension. */
  graceDays: number;
  /** The reminder comes so long before the suspension. */
  reminderDays: number;
  /** Of the last change; null when there was none. */
  changedAt: Date | null;
  changedBy: string | null;
}

/** Null leaves a term as it is. */
export type ArrearsTermsChange = Record<'graceDays' | 'reminderDays', number | null>;

export interface InboxSummary {
  received: number;
  applied: number;
  ignored: number;
  /** Refunds and disputes of payments that are in quarantine, or that do not fit their payment. */
  unhandled: number;
  waiting: number;
  /** Given up: a person has to look. */
  dead: number;
  /** Payments that are not what was asked for and are not credited: a person decides. */
  quarantined: number;
}

/** How many mails stand where. */
export interface MailSummary {
  waiting: number;
  /** Of those, the ones whose last attempt failed. */
  failing: number;
  sent: number;
  /** Given up after three days: a person has to look. */
  dead: number;
  /** The newest failure's code. */
  lastError: string | null;
}

/** Mails that have not left. */
export interface MailBacklog {
  waiting: number;
  /** Given up: a person has to look. */
  dead: number;
  /** How long the oldest of those that wait has been waiting. */
  oldestSeconds: number;
}

/** Refunds to cards that are not finished and stand alike. */
export interface RefundBacklog {
  status: 'reserved' | 'pending' | 'requires_action';
  refunds: number;
  /** How long ago the oldest of them was asked for; 0 without any. */
  oldestSeconds: number;
}

/** How the program stands, and the month. */
export interface AdminServices {
  billing(): Promise<BillingStatus>;
  /** How far the month that is due is, and what keeps it. */
  month(): Promise<MonthProgress & { status: BillingStatus }>;
  startBilling(actor: string): Promise<BillingStatus>;
  arrearsTerms(): Promise<ArrearsTerms>;
  /** False when the reminder would come before the month is closed. */
  changeArrearsTerms(change: ArrearsTermsChange, actor: string): Promise<boolean>;
  inbox(): Promise<InboxSummary>;
  mail(): Promise<MailSummary>;
  /** Tries the mails again that were given up; returns how many. */
  reviveMails(): Promise<number>;
  ledger(): Promise<{
    wallets: number;
    events: bigint;
    totals: { currency: string; balanceMicros: bigint }[];
  }>;
}
