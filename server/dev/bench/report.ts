/** What a run has measured; the shape of `--json`. */
import type { FloorMeasure, Protocol } from './floor.ts';
import type { GuardCosts } from './guards.ts';
import type { HistoryMeasure, LongWallet } from './history.ts';
import type { LedgerCheck } from './ledger.ts';
import type { MonthMeasure } from './month.ts';
import type { Goal } from './rows.ts';

export type Floors = Readonly<Record<Protocol | 'naive', FloorMeasure>>;
export type Wallets = 'many' | 'one hot';

export interface MeasuredRow {
  readonly name: string;
  readonly wallets: Wallets;
  readonly unit: 'charge' | 'pair';
  readonly headline: boolean;
  readonly rateIsGiven: boolean;
  readonly perSecond: number;
  /** Against pgbench's default protocol, and against prepared statements; null without a floor. */
  readonly ratioToFloor: number | null;
  readonly ratioToPreparedFloor: number | null;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of one charge or pair; null where it does not apply or cannot be known. */
  readonly nodeCpuMicros: number | null;
  readonly postgresCpuMicros: number | null;
  readonly goal: Goal;
}

export interface Report {
  readonly measuredAt: string;
  readonly durationSeconds: number;
  readonly secondsPerRow: number;
  readonly machine: {
    readonly cores: number;
    readonly cpu: string;
    readonly memoryBytes: number;
    readonly node: string;
    readonly postgres: string;
    readonly fsync: string;
    readonly synchronousCommit: string;
  };
  readonly floors: { readonly [wallets in Wallets]?: Floors };
  readonly rows: readonly MeasuredRow[];
  readonly history: {
    readonly wallets: readonly LongWallet[];
    readonly diskBytes: number;
    readonly measured: readonly HistoryMeasure[];
  } | null;
  readonly ledger: { readonly verify: LedgerCheck; readonly rebuild: LedgerCheck } | null;
  readonly guards: GuardCosts | null;
  readonly month: MonthMeasure | null;
  readonly memory: {
    readonly serverRssBytes: number;
    readonly serverPeakRssBytes: number;
    readonly postgresBytes: number | null;
    readonly postgresMeasure: 'PSS' | 'RSS' | null;
  } | null;
}

/** The report as JSON, to four significant digits: more would claim more than a run can know. */
export function reportJson(report: Report): string {
  const rounded = (_key: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
  return `${JSON.stringify(report, rounded, 2)}\n`;
}
