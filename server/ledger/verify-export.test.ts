import { describe, expect, it } from 'vitest';
import { csvLine, csvRecords } from './csv.ts';
import { type ChainedEvent, eventColumns, eventFields } from './event-file.ts';
import { eventHash, type StoredEvent } from './hash.ts';
import { type StatementFee, StatementSums } from './statement.ts';
import { type StatementDocument, statementColumns, statementFields } from './statement-file.ts';
import { verifyExport } from './verify-export.ts';

const startsAt = new Date('2026-10-01T00:00:00Z');
const startMicroseconds = BigInt(Date.parse('2026-10-03T10:00:00Z')) * 1_000n + 123n;

const call = { usage: { type: 'call', to: '+14155550132' }, units: 330 };
const sms = { usage: { type: 'sms', to: '+14155550132' }, units: 2 };

/** A month of a wallet that had 10.00: a top-up, two calls, an SMS, the first call given back. */
const month: readonly { type: string; deltaMicros: bigint; detail: object }[] = [
  { type: 'top_up', deltaMicros: 25_000_000n, detail: { topUpId: 'a, "b"' } },
  { type: 'charge', deltaMicros: -375_000n, detail: { ...call, referenceId: '1' } },
  { type: 'charge', deltaMicros: -40_000n, detail: { ...sms, referenceId: '=1+1' } },
  { type: 'charge', deltaMicros: -375_000n, detail: { ...call, referenceId: '3' } },
  { type: 'usage_refund', deltaMicros: 375_000n, detail: { originalSeq: '6', reason: 'zwölf\n' } },
];

/** The hash of the month before, of which the file holds nothing. */
const before = 'ab'.repeat(32);

/** The month as the ledger writes it, from event 5 on. */
function events(of: typeof month = month): ChainedEvent[] {
  let balanceMicros = 10_000_000n;
  const stored = of.map(({ type, deltaMicros, detail }, index): StoredEvent => {
    balanceMicros += deltaMicros;
    const recordedAtMicroseconds = startMicroseconds + BigInt(index) * 3_600_000_000n;
    return {
      walletId: '0f8fad5b-d9cb-469f-a165-70867728950e',
      seq: BigInt(index + 5),
      type,
      balanceDeltaMicros: deltaMicros,
      heldDeltaMicros: 0n,
      arrearsDeltaMicros: 0n,
      balanceMicros,
      heldMicros: 1_000_000n,
      arrearsMicros: 0n,
      overdraftLimitMicros: 0n,
      key: type === 'top_up' ? null : `00000000-0000-4000-8000-00000000000${index}`,
      requestHash: type === 'top_up' ? null : 'cd'.repeat(32),
      actor: 'service:@switch',
      occurredAtMicroseconds: recordedAtMicroseconds - 7n,
      recordedAtMicroseconds,
      detailText: JSON.stringify(detail),
    };
  });
  return chained(stored);
}

/** What somebody can do who knows how the chain is made: every hash anew. */
function chained(stored: readonly StoredEvent[]): ChainedEvent[] {
  let previousHash = before;
  return stored.map((event) => {
    const hash = eventHash(Buffer.from(previousHash, 'hex'), event).toString('hex');
    const link = { ...event, previousHash, hash };
    previousHash = hash;
    return link;
  });
}

function eventLines(of: readonly ChainedEvent[] = events()): string[] {
  return [csvLine(eventColumns), ...of.map((event) => csvLine(eventFields(event, 'USD')))];
}

function statement(of: readonly ChainedEvent[] = events()): StatementDocument {
  const sums = new StatementSums(startsAt);
  of.forEach((event) => {
    sums.add(event);
  });
  const figures = sums.figures();
  expect.assert(figures !== null);
  return {
    ...figures,
    number: '2026-10-000042',
    period: '2026-10',
    startsAt,
    endsAt: new Date('2026-11-01T00:00:00Z'),
    closedAt: new Date('2026-11-01T02:00:00Z'),
    currency: 'USD',
    fromSeq: 5n,
    toSeq: 9n,
    headHash: of.at(-1)?.hash ?? '',
  };
}

function statementLines(
  of: StatementDocument = statement(),
  fees: readonly StatementFee[] = [],
): string[] {
  return [csvLine(statementColumns), ...statementFields(of, fees).map(csvLine)];
}

const hash = statement().headHash;

const verify = (
  lines: readonly string[],
  expected: { hash: string } | { statement: readonly string[] },
) =>
  verifyExport(
    csvRecords([lines.join('')]),
    'hash' in expected ? expected : { statement: csvRecords([expected.statement.join('')]) },
  );

/** The lines with one of them replaced; the header is line 1. */
function withLine(lines: readonly string[], line: number, change: (text: string) => string) {
  return lines.map((text, index) => (index === line - 1 ? change(text) : text));
}

describe('an export of a statement', () => {
  it('is verified by the hash of its statement, and adds up', async () => {
    expect(await verify(eventLines(), { hash })).toMatchObject({
      ok: true,
      events: 5n,
      fromSeq: 5n,
      toSeq: 9n,
      currency: 'USD',
      figures: {
        openingBalanceMicros: 10_000_000n,
        topUpsMicros: 25_000_000n,
        usageMicros: -790_000n,
        refundsMicros: 375_000n,
        closingBalanceMicros: 34_585_000n,
        lines: [
          { type: 'call', count: 2, units: 660, amountMicros: 750_000n },
          { type: 'sms', count: 1, units: 2, amountMicros: 40_000n },
        ],
      },
    });
  });

  it('is verified by the file of its statement, figure by figure', async () => {
    expect(await verify(eventLines(), { statement: statementLines() })).toMatchObject({ ok: true });
  });

  it('says amounts as people write them and as micros, and times to the microsecond', () => {
    const [header = '', , charge = ''] = eventLines();
    const values = new Map(
      header
        .trim()
        .split(',')
        .map((name, at) => [name, charge.split(',')[at]]),
    );
    expect(Object.fromEntries(values)).toMatchObject({
      recordedAt: '2026-10-03T11:00:00.000123Z',
      usageType: 'call',
      units: '330',
      amount: '-0.375',
      balanceDeltaMicros: '-375000',
      balance: '34.625',
    });
  });

  const wrong = (line: number | null, problem: RegExp) => ({
    ok: false,
    file: 'events',
    line,
    problem: expect.stringMatching(problem),
  });

  it.each([
    ['micros', '-375000', '-300000', /^amount does not say/],
    ['amount', '-0.375,', '-0.3,', /^amount does not say/],
    ['time', '000123Z', '000124Z', /^hash is not that/],
    ['reference', '"":""1""', '"":""2""', /^hash is not that/],
    ['units', ',330,', ',33,', /^units does not say/],
    ['wallet', '0f8fad5b', '1f8fad5b', /another wallet/],
    ['quote', ',"{', ',{', /not quoted correctly/],
    ['currency', ',USD,', ',EUR,', /another currency/],
  ])('with a changed %s is wrong on that line', async (_, from, to, problem) => {
    const changed = withLine(eventLines(), 3, (text) => {
      expect(text).toContain(from);
      return text.replace(from, to);
    });
    expect(await verify(changed, { hash })).toEqual(wrong(3, problem));
  });

  it('with a changed amount and everything that follows from it on the line is wrong there', async () => {
    const forged = events().map((event, index) =>
      index === 1 ? { ...event, balanceDeltaMicros: -1n, balanceMicros: 34_999_999n } : event,
    );
    expect(await verify(eventLines(forged), { hash })).toEqual(wrong(3, /^hash is not that/));
  });

  it("with an amount changed and every hash made anew does not end in the statement's hash", async () => {
    let gainedMicros = 0n;
    const forged = chained(
      events().map((event, index) => {
        gainedMicros += index === 1 ? 374_999n : 0n;
        return {
          ...event,
          balanceDeltaMicros: event.balanceDeltaMicros + (index === 1 ? 374_999n : 0n),
          balanceMicros: event.balanceMicros + gainedMicros,
        };
      }),
    );
    expect(await verify(eventLines(forged), { hash })).toEqual(wrong(null, /every hash was made/));
  });

  it.each([2, 3, 4, 5])('without its line %i is wrong where that is missing', async (line) => {
    const cut = eventLines().filter((_, index) => index !== line - 1);
    const outcome = await verify(cut, { hash });
    if (line === 2) {
      // What is left is a chain: only the statement says where it begins.
      expect(outcome).toMatchObject({ ok: true, fromSeq: 6n });
      expect(await verify(cut, { statement: statementLines() })).toEqual(
        wrong(null, /holds events 6 to 9, and the statement 5 to 9/),
      );
    } else {
      expect(outcome).toEqual(wrong(line, /^event \d stands where event \d should/));
    }
  });

  it('with two lines swapped is wrong at the first of them', async () => {
    const lines = eventLines();
    [lines[2], lines[3]] = [lines[3] ?? '', lines[2] ?? ''];
    expect(await verify(lines, { hash })).toEqual(wrong(3, /^event 7 stands where event 6/));
  });

  it('with a line twice is wrong at the second', async () => {
    const lines = eventLines();
    expect(await verify([...lines.slice(0, 4), ...lines.slice(3)], { hash })).toEqual(
      wrong(5, /^event 7 stands where event 8/),
    );
  });

  it("whose end is cut off does not end in the statement's hash", async () => {
    const cut = eventLines().slice(0, -1);
    expect(await verify(cut, { hash })).toEqual(wrong(null, /ends with event 8/));
    expect(await verify(cut, { statement: statementLines() })).toEqual(
      wrong(null, /holds events 5 to 8, and the statement 5 to 9/),
    );
    const cutWithin = eventLines();
    cutWithin.push(cutWithin.pop()?.slice(0, 200) ?? '');
    expect(await verify(cutWithin, { hash })).toEqual(wrong(6, /fields instead of|quoted/));
  });

  it('that is not one is wrong on its first line', async () => {
    expect(await verify(['a,b\r\n'], { hash })).toEqual(wrong(1, /not the header/));
    expect(await verify([], { hash })).toEqual(wrong(1, /empty/));
    expect(await verify(eventLines().slice(0, 1), { hash })).toEqual(wrong(null, /no event/));
  });
});

describe('the file of a statement', () => {
  describe('with a fee', () => {
    const detail = { description: '+14155550198', period: '2026-09' };
    const billed = events([...month, { type: 'fee', deltaMicros: -1_500_000n, detail }]);
    const document = { ...statement(billed), toSeq: 10n };
    const fee = { ...detail, amountMicros: 1_500_000n };
    const verifyFees = (...fees: StatementFee[]) =>
      verify(eventLines(billed), { statement: statementLines(document, fees) });

    it('says what it is for, which is proven too', async () => {
      expect(statementLines(document, [fee]).at(-1)).toBe(
        csvLine(['feeOfMonth', '', '', '', '1.5', '1500000', 'USD', '+14155550198, 2026-09']),
      );
      expect(await verifyFees(fee)).toMatchObject({ ok: true });
      for (const fees of [
        [{ ...fee, description: 'Plan' }],
        [{ ...fee, period: '2026-08' }],
        [{ ...fee, amountMicros: 1_500_001n }],
        [fee, fee],
      ]) {
        expect(await verifyFees(...fees)).toMatchObject({ ok: false, file: 'statement' });
      }
    });

    it('stays provable where it was downloaded before fees had names', async () => {
      expect(await verifyFees()).toMatchObject({ ok: true });
    });
  });

  it.each(
    statementFields(statement(), []).flatMap(([item = ''], index) =>
      ['number', 'period', 'startsAt', 'endsAt', 'closedAt'].includes(item)
        ? []
        : [[item, index + 2]],
    ),
  )('with another %s is wrong', async (_, line) => {
    const changed = withLine(statementLines(), Number(line), (text) =>
      text.replace(/\d(?=\D*$)/, (digit) => `${(Number(digit) + 1) % 10}`).replace('USD', 'EUR'),
    );
    expect(await verify(eventLines(), { statement: changed })).toMatchObject({ ok: false });
  });

  it('names the figure that is not what the events come to, and its line', async () => {
    const forged = { ...statement(), usageMicros: -790_001n };
    expect(await verify(eventLines(), { statement: statementLines(forged) })).toEqual({
      ok: false,
      file: 'statement',
      line: 14,
      problem: 'usage is not what the events come to',
    });
    const [calls, texts] = statement().lines;
    expect.assert(calls !== undefined && texts !== undefined);
    const surplus = {
      ...statement(),
      accruedLines: [{ ...calls, units: 1 }],
      lateLines: null,
    };
    expect(await verify(eventLines(), { statement: statementLines(surplus) })).toMatchObject({
      problem: 'no event stands behind it',
    });
    const other = { ...statement(), lines: [{ ...calls, units: 661 }, texts] };
    expect(await verify(eventLines(), { statement: statementLines(other) })).toMatchObject({
      problem: 'usageOfType call is not what the events come to',
    });
  });

  describe('with usage of earlier months', () => {
    const late = chained(
      events().map((event, index) =>
        index === 1 ? { ...event, occurredAtMicroseconds: startMicroseconds / 2n } : event,
      ),
    );
    const document = statement(late);
    const verifyLate = (lines: readonly string[]) => verify(eventLines(late), { statement: lines });

    it('names it by type, which is proven too', async () => {
      const lateLines = [{ type: 'call', count: 1, units: 330, amountMicros: 375_000n }];
      expect(document.lateLines).toEqual(lateLines);
      expect(statementLines(document).slice(-2)).toEqual([
        csvLine(['lateUsage', '', '', '', '0.375', '375000', 'USD', '']),
        csvLine(['lateUsageOfType', 'call', '1', '330', '0.375', '375000', 'USD', '']),
      ]);
      expect(await verifyLate(statementLines(document))).toMatchObject({
        ok: true,
        figures: { lateLines },
      });
      expect(await verifyLate(statementLines({ ...document, lateLines: [] }))).toMatchObject({
        problem: 'lateUsage is not what the events come to',
      });
      const sooner = { ...document, startsAt: new Date('1990-01-01T00:00:00Z') };
      expect(await verifyLate(statementLines(sooner))).toMatchObject({
        problem: 'lateUsage is not what the events come to',
      });
    });

    it('stays provable where it was closed before that was told apart', async () => {
      const before = statementLines({ ...document, lateLines: null });
      expect(before.join('')).not.toContain('late');
      expect(await verifyLate(before)).toMatchObject({ ok: true });
    });
  });

  it.each([
    ['begins after', { startsAt: new Date('2026-10-03T10:30:00Z') }],
    ['ends before', { endsAt: new Date('2026-10-03T11:00:00Z') }],
  ])('that %s some of its events were recorded is wrong', async (_, span) => {
    const lines = statementLines({ ...statement(), ...span });
    expect(await verify(eventLines(), { statement: lines })).toMatchObject({
      file: 'events',
      problem: expect.stringMatching(/^not all of it was recorded/),
    });
  });

  it('of a month without events must not have moved', async () => {
    const empty: StatementDocument = {
      ...statement(),
      fromSeq: 10n,
      toSeq: 9n,
      openingBalanceMicros: 34_585_000n,
      topUpsMicros: 0n,
      usageMicros: 0n,
      refundsMicros: 0n,
      lines: [],
      lateLines: [],
    };
    const header = eventLines().slice(0, 1);
    expect(await verify(header, { statement: statementLines(empty) })).toMatchObject({
      ok: true,
      events: 0n,
      figures: null,
    });
    const moved = { ...empty, closingBalanceMicros: 1n };
    expect(await verify(header, { statement: statementLines(moved) })).toMatchObject({
      problem: 'closingBalance is not what the events come to',
    });
    expect(await verify(header, { statement: statementLines() })).toMatchObject({
      problem: 'it holds no event, and the statement does',
    });
  });
});
