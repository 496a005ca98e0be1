import type { MeasuredRow, Report } from './report.ts';

const row: MeasuredRow = {
  name: 'single charges, 64 callers',
  wallets: 'many',
  unit: 'charge',
  headline: true,
  rateIsGiven: false,
  perSecond: 12_345.678,
  ratioToFloor: 1.23456,
  ratioToPreparedFloor: 0.98765,
  p50Ms: 4.2,
  p99Ms: 41,
  nodeCpuMicros: 80,
  postgresCpuMicros: null,
  goal: { ratio: 1.2, p99Ms: 40 },
};

const floor = { perSecond: 10_000, clients: 64, driver: 'pgbench' } as const;
const floors = {
  simple: floor,
  prepared: floor,
  naive: { ...floor, driver: 'own driver' },
} as const;

/** A report with a row of each kind, for tests of what is made of it. */
export const sampleReport: Report = {
  measuredAt: '2026-11-23T05:00:00.000Z',
  durationSeconds: 600,
  secondsPerRow: 8,
  machine: {
    cores: 2,
    cpu: 'A <fast> & new CPU',
    memoryBytes: 8 * 2 ** 30,
    node: 'v20.20.2',
    postgres: '18.4',
    fsync: 'on',
    synchronousCommit: 'on',
  },
  floors: { many: floors, 'one hot': floors },
  rows: [
    row,
    { ...row, name: 'chargeBatch of 100 <x>', wallets: 'one hot', ratioToFloor: 0.05, goal: {} },
    { ...row, name: 'authorize and capture, 64 callers', unit: 'pair', headline: false, goal: {} },
    { ...row, name: 'single charges arriving at 3000/s', rateIsGiven: true, goal: { p99Ms: 42 } },
  ],
  history: {
    wallets: [],
    diskBytes: 1e9,
    measured: [
      { what: 'first page', through: 'SQL', events: 10_000, p50Ms: 0.2, p99Ms: 1 },
      { what: 'first page', through: 'SQL', events: 1_000_000, p50Ms: 0.5, p99Ms: 1 },
    ],
  },
  ledger: {
    verify: { events: 300_000, seconds: 1, perSecond: 300_000 },
    rebuild: { events: 300_000, seconds: 1, perSecond: 300_000 },
  },
  guards: {
    all: { wallMicros: 60, cpuMicros: null },
    guards: [{ guard: 'append-only triggers', wallMicros: -0.2, cpuMicros: null }],
  },
  month: {
    wallets: 10_000,
    events: 100_000,
    generationSeconds: 9,
    floor: { seconds: 0.4, perSecond: 2_500 },
    run: { seconds: 5, perSecond: 2_000 },
    firstBytes: 100e6,
    peakBytes: 110e6,
  },
  memory: {
    serverRssBytes: 123e6,
    serverPeakRssBytes: 200e6,
    postgresBytes: null,
    postgresMeasure: null,
  },
};
