/** A report as tables in Markdown. */
import { PROTOCOLS } from './floor.ts';
import type { HistoryMeasure } from './history.ts';
import type { MeasuredRow, Report } from './report.ts';

/** The rows that the README shows, and what they were measured on. */
export function readmeTable(report: Report): string {
  return [
    machineLine(report),
    '',
    ...rowsTable(report, true),
    '',
    `\`npm run ledger -- verify\`: ${eventRate(report, 'verify')}, \`rebuild\`: ${eventRate(report, 'rebuild')}.`,
  ].join('\n');
}

/** Everything that was measured. */
export function fullTables(report: Report): string {
  return [
    machineLine(report),
    ...section('Floor', floorTable(report)),
    ...section('Charges', rowsTable(report, false)),
    ...section('Long histories', historyTable(report)),
    ...section('Verification', ledgerTable(report)),
    ...section('Closing a month', monthTable(report)),
    ...section('What each guard costs', guardsTable(report)),
    ...section('Memory after the load', memoryTable(report)),
  ].join('\n');
}

function section(title: string, table: readonly string[]): string[] {
  return table.length === 0 ? [] : ['', `### ${title}`, '', ...table];
}

function machineLine({ machine, measuredAt, secondsPerRow }: Report): string {
  return (
    `Measured on ${measuredAt.slice(0, 10)}, ${secondsPerRow} s a row: ${machine.cores} cores ` +
    `(${machine.cpu}), ${gigabytes(machine.memoryBytes)}, Node ${machine.node.slice(1)}, ` +
    `PostgreSQL ${machine.postgres} with fsync ${machine.fsync} and synchronous_commit ` +
    `${machine.synchronousCommit}; load, server and database on the same machine.`
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) {
    return [];
  }
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  // Texts stand left, figures right.
  const rule = head.map((_, column) =>
    rows.some((row) => /[a-z]{2}/.test(row[column] ?? '')) ? '---' : '--:',
  );
  return [line(head), `|${rule.join('|')}|`, ...rows.map(line)];
}

function floorTable({ floors }: Report): string[] {
  const names = { simple: 'one statement, default protocol', prepared: 'one statement, prepared' };
  const rows = (['many', 'one hot'] as const).flatMap((wallets) => {
    const measured = floors[wallets];
    return measured === undefined
      ? []
      : [
          ...PROTOCOLS.map((protocol) => ({ name: names[protocol], ...measured[protocol] })),
          { name: 'SELECT FOR UPDATE, INSERT, UPDATE from Node', ...measured.naive },
        ].map(({ name, perSecond, clients, driver }) => [
          name,
          wallets,
          driver,
          String(clients),
          count(perSecond),
        ]);
  });
  return table(['', 'wallets', 'driver', 'clients', 'charges/s'], rows);
}

export const ROWS_HEAD = [
  '',
  'wallets',
  'per second',
  '× floor',
  '× prepared floor',
  'p50 ms',
  'p99 ms',
  'CPU µs Node',
  'CPU µs PostgreSQL',
  'goal',
];

export function rowCells(row: MeasuredRow): string[] {
  return [
    row.unit === 'pair' ? `${row.name} (pairs)` : row.name,
    row.wallets,
    count(row.perSecond),
    optional(row.rateIsGiven ? null : row.ratioToFloor, 2),
    optional(row.rateIsGiven ? null : row.ratioToPreparedFloor, 2),
    row.p50Ms.toFixed(1),
    row.p99Ms.toFixed(1),
    optional(row.nodeCpuMicros, 0),
    optional(row.postgresCpuMicros, 0),
    goalCell(row),
  ];
}

function rowsTable({ rows, floors }: Report, headlines: boolean): string[] {
  if (!headlines) {
    return table(ROWS_HEAD, rows.map(rowCells));
  }
  const shown = [0, 1, 2, 3, 5, 6, 9];
  const pickCells = (cells: readonly string[]) => shown.map((column) => cells[column] ?? '');
  const floorRows = (['many', 'one hot'] as const).flatMap((wallets) => {
    const floor = floors[wallets]?.simple;
    return floor === undefined
      ? []
      : [
          [
            `**floor**: ${floor.driver}, ${floor.clients} ${floor.clients === 1 ? 'client' : 'clients'}`,
            wallets,
            count(floor.perSecond),
            '1',
            '',
            '',
            '',
          ],
        ];
  });
  return table(pickCells(ROWS_HEAD), [
    ...floorRows,
    ...rows.filter(({ headline }) => headline).map((row) => pickCells(rowCells(row))),
  ]);
}

/** What a row should reach, and whether it did. */
function goalCell({ goal, ratioToFloor, p99Ms }: MeasuredRow): string {
  const parts: string[] = [];
  if (goal.ratio !== undefined && ratioToFloor !== null) {
    parts.push(`${mark(ratioToFloor >= goal.ratio)} ≥ ${goal.ratio} ×`);
  }
  if (goal.p99Ms !== undefined) {
    parts.push(`${mark(p99Ms < goal.p99Ms)} p99 < ${goal.p99Ms} ms`);
  }
  return parts.join(', ');
}

function mark(reached: boolean): string {
  return reached ? '✓' : '✗';
}

/** How a wallet's history may slow it down, against the shortest one. */
const HISTORY_GOAL = 2;

export function historyTable({ history }: Pick<Report, 'history'>): string[] {
  const measured = history?.measured ?? [];
  const fewest = Math.min(...measured.map(({ events }) => events));
  return table(
    ['', 'through', 'events', 'p50 ms', 'p99 ms', `× ${count(fewest)} events`, 'goal'],
    measured.map((row) => {
      const ratio = row.p50Ms / (shortest(measured, row)?.p50Ms ?? Number.NaN);
      return [
        row.what,
        row.through,
        count(row.events),
        row.p50Ms.toFixed(2),
        row.p99Ms.toFixed(2),
        ratio.toFixed(2),
        row.events === fewest || row.what === 'single charge'
          ? ''
          : `${mark(ratio <= HISTORY_GOAL)} ≤ ${HISTORY_GOAL} ×`,
      ];
    }),
  );
}

function shortest(measured: readonly HistoryMeasure[], like: HistoryMeasure) {
  return measured
    .filter(({ what, through }) => what === like.what && through === like.through)
    .reduce<HistoryMeasure | null>((a, b) => (a === null || b.events < a.events ? b : a), null);
}

const LEDGER_GOALS = { verify: 300_000, rebuild: 1_000_000 };

export function ledgerTable({ ledger }: Pick<Report, 'ledger'>): string[] {
  return ledger === null
    ? []
    : table(
        ['', 'events', 'seconds', 'events/s', 'goal'],
        (['verify', 'rebuild'] as const).map((command) => [
          `npm run ledger -- ${command}`,
          count(ledger[command].events),
          ledger[command].seconds.toFixed(1),
          count(ledger[command].perSecond),
          `${mark(ledger[command].perSecond >= LEDGER_GOALS[command])} ≥ ${count(LEDGER_GOALS[command])}`,
        ]),
      );
}

export function monthTable({ month }: Pick<Report, 'month'>): string[] {
  if (month === null) {
    return [];
  }
  const { wallets, events, floor, run, firstBytes, peakBytes } = month;
  const cells = (name: string, { seconds, perSecond }: typeof run, memory: string) => [
    name,
    count(seconds * perSecond),
    count((seconds * perSecond * events) / wallets),
    seconds.toFixed(1),
    count(perSecond),
    (perSecond / floor.perSecond).toFixed(2),
    memory,
  ];
  return table(
    ['', 'wallets', 'events', 'seconds', 'wallets/s', '× floor', 'memory of Node, first and peak'],
    [
      cells('**floor**: the same SQL run directly', floor, ''),
      cells('the monthly run', run, `${megabytes(firstBytes)}, ${megabytes(peakBytes)}`),
    ],
  );
}

export function guardsTable({ guards }: Pick<Report, 'guards'>): string[] {
  return guards === null
    ? []
    : table(
        ['', 'µs a charge', 'CPU µs a charge'],
        [
          [
            'a charge with every guard',
            guards.all.wallMicros.toFixed(1),
            optional(guards.all.cpuMicros, 1),
          ],
          ...guards.guards.map(({ guard, wallMicros, cpuMicros }) => [
            guard,
            wallMicros.toFixed(1),
            optional(cpuMicros, 1),
          ]),
        ],
      );
}

function memoryTable({ memory, history }: Report): string[] {
  return memory === null
    ? []
    : table(
        ['', 'memory'],
        [
          ['the server (RSS)', megabytes(memory.serverRssBytes)],
          ['the server at its peak (RSS)', megabytes(memory.serverPeakRssBytes)],
          [
            `PostgreSQL, all processes (${memory.postgresMeasure ?? '-'})`,
            memory.postgresBytes === null ? '-' : megabytes(memory.postgresBytes),
          ],
          ...(history === null
            ? []
            : [['disk of the long histories', megabytes(history.diskBytes)]]),
        ],
      );
}

function eventRate({ ledger }: Report, command: 'verify' | 'rebuild'): string {
  return ledger === null ? '-' : `${count(ledger[command].perSecond)} events/s`;
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function optional(value: number | null, digits: number): string {
  return value === null ? '-' : value.toFixed(digits);
}

function megabytes(bytes: number): string {
  return `${count(bytes / 1e6)} MB`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(0)} GiB of memory`;
}
