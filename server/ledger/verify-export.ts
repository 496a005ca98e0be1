/**
 * Verifies a user's own export of a statement's events, with nothing but the statement: recomputes
 * the chain of hashes and every sum, and names the first line that is wrong.
 *
 * The statement's hash covers the last event, which covers the one before it, and so all of them:
 * who knows that hash from elsewhere, such as a mail of that month, need trust nobody else.
 */
import { type CsvRecord, unguarded } from './csv.ts';
import { type ChainedEvent, eventColumns, readEventFields } from './event-file.ts';
import { chainStart, eventHash } from './hash.ts';
import { type StatementFee, type StatementFigures, StatementSums } from './statement.ts';
import {
  feeFields,
  figureFields,
  type ReadStatement,
  readStatementFields,
  statementColumns,
} from './statement-file.ts';

/** What is wrong, and on which line of which file, where one can be named. */
export interface ExportProblem {
  readonly ok: false;
  readonly file: 'events' | 'statement';
  readonly line: number | null;
  readonly problem: string;
}

export interface VerifiedExport {
  readonly ok: true;
  readonly events: bigint;
  /** Null when there is no event. */
  readonly fromSeq: bigint | null;
  readonly toSeq: bigint | null;
  readonly currency: string | null;
  readonly figures: StatementFigures | null;
}

type Records = AsyncIterable<CsvRecord> | Iterable<CsvRecord>;

/**
 * Verifies events against the hash of their statement (lower-case hex) or, better, the statement's
 * own file, whose figures are then added up anew. Memory does not grow with the number of events.
 */
export async function verifyExport(
  events: Records,
  expected: { readonly hash: string } | { readonly statement: Records },
): Promise<VerifiedExport | ExportProblem> {
  if ('hash' in expected) {
    const chain = await readChain(events, null);
    return chain.ok ? (endProblem(chain, expected.hash) ?? verified(chain)) : chain;
  }
  const statement = await readStatement(expected.statement);
  if ('ok' in statement) {
    return statement;
  }
  const chain = await readChain(events, statement.startsAt);
  return chain.ok ? (statementProblem(chain, statement) ?? verified(chain)) : chain;
}

interface Chain {
  readonly ok: true;
  readonly events: bigint;
  readonly sums: StatementSums;
  readonly first: ChainedEvent | null;
  readonly last: ChainedEvent | null;
  readonly currency: string | null;
}

/** Follows the events from the first to the last; the period's beginning, where it is known. */
async function readChain(records: Records, startsAt: Date | null): Promise<Chain | ExportProblem> {
  const sums = new StatementSums(startsAt);
  let events = 0n;
  let first: ChainedEvent | null = null;
  let last: ChainedEvent | null = null;
  let currency: string | null = null;
  let hasHeader = false;
  for await (const { line, fields } of records) {
    const wrong = (problem: string) => eventsProblem(line, problem);
    if (fields === null) {
      return wrong('it is not quoted correctly');
    }
    if (!hasHeader) {
      if (fields.join() !== eventColumns.join()) {
        return wrong('it is not the header of an export of events');
      }
      hasHeader = true;
      continue;
    }
    const read = readEventFields(fields.map(unguarded));
    if (!read.ok) {
      return wrong(read.problem);
    }
    const { event } = read;
    const problem =
      (currency !== null && read.currency !== currency ? 'it is in another currency' : null) ??
      (last === null ? beginningProblem(event) : linkProblem(last, event)) ??
      hashProblem(event);
    if (problem !== null) {
      return wrong(problem);
    }
    sums.add(event);
    events += 1n;
    first ??= event;
    last = event;
    currency = read.currency;
  }
  return hasHeader
    ? { ok: true, events, sums, first, last, currency }
    : eventsProblem(1, 'the file is empty');
}

/** What is wrong with the first event of the file, which need not be the wallet's first. */
function beginningProblem(event: ChainedEvent): string | null {
  const opens = event.seq === 1n;
  if (opens !== (event.previousHash === Buffer.from(chainStart).toString('hex'))) {
    return 'previousHash does not fit an event of this number';
  }
  const isZero =
    event.balanceMicros === event.balanceDeltaMicros &&
    event.heldMicros === event.heldDeltaMicros &&
    event.arrearsMicros === event.arrearsDeltaMicros;
  return opens && !isZero ? 'a wallet begins with nothing' : null;
}

/** What is wrong with an event as the one that comes next. */
function linkProblem(last: ChainedEvent, event: ChainedEvent): string | null {
  if (event.walletId !== last.walletId) {
    return 'it belongs to another wallet';
  }
  if (event.seq !== last.seq + 1n) {
    return `event ${event.seq} stands where event ${last.seq + 1n} should stand`;
  }
  if (event.previousHash !== last.hash) {
    return 'previousHash is not the hash of the line before';
  }
  if (event.balanceMicros !== last.balanceMicros + event.balanceDeltaMicros) {
    return 'balanceMicros is not the balance before and its change';
  }
  if (event.heldMicros !== last.heldMicros + event.heldDeltaMicros) {
    return 'heldMicros is not what was held before and its change';
  }
  if (event.arrearsMicros !== last.arrearsMicros + event.arrearsDeltaMicros) {
    return 'arrearsMicros is not what was owed before and its change';
  }
  return event.recordedAtMicroseconds < last.recordedAtMicroseconds
    ? 'it was recorded before the line above'
    : null;
}

function hashProblem(event: ChainedEvent): string | null {
  const hash = eventHash(Buffer.from(event.previousHash, 'hex'), event).toString('hex');
  return hash === event.hash ? null : `hash is not that of what event ${event.seq} says`;
}

/** The end of the chain must be the hash that the statement tells. */
function endProblem({ last }: Chain, hash: string): ExportProblem | null {
  if (last === null) {
    return eventsProblem(null, 'it holds no event, of which a hash alone proves nothing');
  }
  return last.hash === hash
    ? null
    : eventsProblem(
        null,
        `it ends with event ${last.seq}, whose hash is not the statement's: lines are missing at the end, or every hash was made anew`,
      );
}

async function readStatement(records: Records): Promise<ReadStatement | ExportProblem> {
  const read: { line: number; fields: string[] }[] = [];
  for await (const { line, fields } of records) {
    if (fields === null) {
      return statementFileProblem(line, 'it is not quoted correctly');
    }
    read.push({ line, fields: fields.map(unguarded) });
  }
  const [header, ...rows] = read;
  if (header?.fields.join() !== statementColumns.join()) {
    return statementFileProblem(header?.line ?? 1, 'it is not the header of a statement');
  }
  const statement = readStatementFields(rows);
  return typeof statement === 'string' ? statementFileProblem(null, statement) : statement;
}

/** Compares what the events come to with what the statement says. */
function statementProblem(chain: Chain, statement: ReadStatement): ExportProblem | null {
  const { first, last, currency } = chain;
  if (first === null || last === null || currency === null) {
    return statement.toSeq === statement.fromSeq - 1n
      ? figuresProblem(unmoved(statement), [], statement)
      : eventsProblem(null, 'it holds no event, and the statement does');
  }
  if (first.seq !== statement.fromSeq || last.seq !== statement.toSeq) {
    const [told, found] = [
      `${statement.fromSeq} to ${statement.toSeq}`,
      `${first.seq} to ${last.seq}`,
    ];
    return eventsProblem(null, `it holds events ${found}, and the statement ${told}`);
  }
  const end = endProblem(chain, statement.headHash);
  if (end !== null) {
    return end;
  }
  if (currency !== statement.currency) {
    return eventsProblem(null, `it is in ${currency}, and the statement in ${statement.currency}`);
  }
  if (!isRecordedIn(first, statement) || !isRecordedIn(last, statement)) {
    return eventsProblem(
      null,
      'not all of it was recorded from startsAt to endsAt of the statement',
    );
  }
  const figures = chain.sums.figures();
  return figures === null ? null : figuresProblem(figures, chain.sums.fees(), statement);
}

function isRecordedIn(
  { recordedAtMicroseconds }: ChainedEvent,
  { startsAt, endsAt }: ReadStatement,
): boolean {
  const recordedAtMs = recordedAtMicroseconds / 1_000n;
  return recordedAtMs >= startsAt.getTime() && recordedAtMs < endsAt.getTime();
}

/** A month without events ends as it began, which only the statement itself can tell. */
function unmoved({ figures }: ReadStatement): StatementFigures {
  const micros = (item: string) => {
    const text = figures.find(({ fields }) => fields[0] === item)?.fields[5] ?? '';
    return /^-?\d{1,19}$/.test(text) ? BigInt(text) : 0n;
  };
  const openingBalanceMicros = micros('openingBalance');
  return {
    openingBalanceMicros,
    closingBalanceMicros: openingBalanceMicros,
    topUpsMicros: 0n,
    grantsMicros: 0n,
    usageMicros: 0n,
    feesMicros: 0n,
    refundsMicros: 0n,
    otherMicros: 0n,
    arrearsMicros: micros('arrears'),
    lines: [],
    accruedMicros: 0n,
    accruedLines: [],
    lateLines: [],
  };
}

function figuresProblem(
  figures: StatementFigures,
  fees: readonly StatementFee[],
  statement: ReadStatement,
): ExportProblem | null {
  const lateLines = statement.tellsLateUsage ? figures.lateLines : null;
  const expected = [
    ...figureFields({ ...figures, lateLines }, statement.currency),
    ...feeFields(statement.namesFees ? fees : [], statement.currency),
  ];
  const differing = expected.findIndex(
    (fields, index) => fields.join() !== statement.figures[index]?.fields.join(),
  );
  if (differing !== -1) {
    const row = statement.figures[differing];
    const [item = '', type = ''] = expected[differing] ?? [];
    const name = type === '' ? item : `${item} ${type}`;
    return statementFileProblem(row?.line ?? null, `${name} is not what the events come to`);
  }
  const surplus = statement.figures[expected.length];
  return surplus === undefined
    ? null
    : statementFileProblem(surplus.line, 'no event stands behind it');
}

function verified({ events, sums, first, last, currency }: Chain): VerifiedExport {
  const [fromSeq, toSeq] = [first?.seq ?? null, last?.seq ?? null];
  return { ok: true, events, fromSeq, toSeq, currency, figures: sums.figures() };
}

function eventsProblem(line: number | null, problem: string): ExportProblem {
  return { ok: false, file: 'events', line, problem };
}

function statementFileProblem(line: number | null, problem: string): ExportProblem {
  return { ok: false, file: 'statement', line, problem };
}
