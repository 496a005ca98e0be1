import { describe, expect, it } from 'vitest';
import { pdfTexts } from '../../dev/pdf-text.ts';
import type { StatementView } from '../../views/statements.ts';
import { statementPdf } from './statement-pdf.ts';

const statement: StatementView = {
  walletId: '0f8fad5b-d9cb-469f-a165-70867728950e',
  number: '2026-10-000042',
  period: '2026-10',
  startsAt: new Date('2026-09-30T22:00:00Z'),
  endsAt: new Date('2026-10-31T23:00:00Z'),
  closedAt: new Date('2026-11-01T02:00:03Z'),
  timezone: 'Europe/Berlin',
  currency: 'USD',
  openingBalanceMicros: 10_000_000n,
  closingBalanceMicros: 34_585_000n,
  topUpsMicros: 25_000_000n,
  grantsMicros: 1_500_000n,
  usageMicros: -790_000n,
  feesMicros: -1_500_000n,
  refundsMicros: 375_000n,
  otherMicros: 0n,
  arrearsMicros: 0n,
  lines: [
    { type: 'call', count: 1_204, units: 7_590, amountMicros: 750_000n },
    { type: 'fax', count: 1, units: 1, amountMicros: 0n },
    { type: 'sms', count: 1, units: 12_000, amountMicros: 40_000n },
    { type: 'other', count: 2, units: 0, amountMicros: 12n },
  ],
  accruedMicros: 0n,
  accruedLines: [],
  lateLines: [],
  fromSeq: 5n,
  toSeq: 1_233n,
  headHash: '0123456789abcdef'.repeat(4),
};

const fees = [{ description: '+14155550198', period: '2026-09', amountMicros: 1_500_000n }];

const draw = (changes: Partial<StatementView> = {}, customer = 'ada@example.com', exponent = 2) =>
  statementPdf({
    statement: { ...statement, ...changes },
    fees,
    customer,
    appName: 'Prepaid Wallet',
    exponent,
  });

/** The texts that stand behind one of them. */
async function behind(label: string, count: number, ...given: Parameters<typeof draw>) {
  const texts = pdfTexts(await draw(...given));
  const at = texts.indexOf(label);
  expect(at, `there is ${label}`).toBeGreaterThan(-1);
  return texts.slice(at + 1, at + 1 + count);
}

describe('the PDF of a statement', () => {
  it('says whose it is, for which days of its time zone, and its number on each page', async () => {
    expect(await behind('Number', 1)).toEqual(['2026-10-000042']);
    expect(await behind('For', 1)).toEqual(['ada@example.com']);
    expect(await behind('Period', 1)).toEqual([
      '1 October 2026 to 31 October 2026 (Europe/Berlin)',
    ]);
    const texts = pdfTexts(await draw());
    expect(texts).toContain('Statement for October 2026');
    expect(texts.slice(-2)).toEqual(['Statement 2026-10-000042', 'Page 1 of 1']);
  });

  it.each([
    ['Opening balance', '$10.00'],
    ['Top-ups', '+$25.00'],
    ['Promotional credit', '+$1.50'],
    ['Usage', '-$0.79'],
    ['Fees', '-$1.50'],
    ['Refunds', '+$0.375'],
    ['Other', '$0.00'],
    ['Closing balance', '$34.585'],
  ])('says the sum of the month: %s', async (label, amount) => {
    expect(await behind(label, 1)).toEqual([amount]);
  });

  it.each([
    ['Calls', '1,204', '2 h 6 min 30 s', '$0.75'],
    ['Faxes', '1', '1 page', '$0.00'],
    ['SMS', '1', '12,000 segments', '$0.04'],
  ])('says how often, how much and at what cost: %s', async (type, ...figures) => {
    expect(await behind(type, 3)).toEqual(figures);
  });

  it('says what each fee is for, and of which month', async () => {
    expect(await behind('Fee', 5)).toEqual([
      'Month',
      'Cost',
      '+14155550198',
      'September 2026',
      '$1.50',
    ]);
  });

  it('says what usage cost of which nothing is told', async () => {
    const texts = pdfTexts(await draw());
    expect(texts.slice(texts.lastIndexOf('Other'))).toEqual(
      expect.arrayContaining(['Other', '2', '$0.000012']),
    );
  });

  it('has the fingerprint, letter by letter', async () => {
    expect(pdfTexts(await draw())).toContain('0123456789abcdef'.repeat(4));
  });

  it('says what is owed, and what is deducted in the next month', async () => {
    const texts = pdfTexts(
      await draw({
        arrearsMicros: 2_500_000n,
        lines: [],
        accruedMicros: 40_000n,
        accruedLines: [{ type: 'email', count: 3, units: 4, amountMicros: 40_000n }],
      }),
    );
    expect(texts).toEqual(
      expect.arrayContaining([
        'Owed at the end: $2.50.',
        'Nothing was used in this month.',
        'Used in this month, deducted in the next',
        '4 recipients',
        'Together $0.04.',
      ]),
    );
  });

  it('names the part of its usage that was used in earlier months', async () => {
    const lateLines = [{ type: 'call', count: 2, units: 90, amountMicros: 250_000n }];
    const title = 'Used in earlier months';
    expect(await behind(title, 9, { lateLines })).toEqual([
      ...['Type', 'Times', 'Used', 'Cost'],
      ...['Calls', '2', '1 min 30 s', '$0.25'],
      'Part of the usage above. It was reported after its own month was over.',
    ]);
    // A statement of before it was told apart says nothing of it, as one without late usage.
    const before = await draw({ lateLines: null });
    expect(pdfTexts(before)).not.toContain(title);
    expect(Buffer.from(await draw()).equals(before)).toBe(true);
  });

  it.each([
    ['JPY', 0, '¥10'],
    ['KWD', 3, 'KWD 10.000'],
    ['EUR', 2, '€10.00'],
    ['GBP', 2, '£10.00'],
  ])('writes amounts in the decimals of %s', async (currency, exponent, amount) => {
    const customer = 'ada@example.com';
    expect(await behind('Opening balance', 1, { currency }, customer, exponent)).toEqual([amount]);
  });

  it('is the same to the byte for the same statement, whatever the time', async () => {
    const first = await draw();
    await new Promise((done) => setTimeout(done, 1_100));
    expect(Buffer.from(await draw()).equals(first)).toBe(true);
    expect(Buffer.from(await draw({ number: '2026-10-000043' })).equals(first)).toBe(false);
  });

  it('names what the fonts do not have by its code point, so that no two look the same', async () => {
    expect(await behind('For', 1, {}, 'zoë.œuvre@例え.jp')).toEqual([
      'zoë.œuvre@{U+4F8B}{U+3048}.jp',
    ]);
    expect(await behind('For', 1, {}, 'пример@example.com')).not.toEqual(
      await behind('For', 1, {}, 'другое@example.com'),
    );
  });

  it('goes on over pages, each with its number', async () => {
    const lines = Array.from({ length: 60 }, () => statement.lines).flat();
    const texts = pdfTexts(await draw({ lines }));
    const pages = texts.filter((text) => text.startsWith('Page '));
    expect(pages.length).toBeGreaterThan(5);
    expect(pages).toEqual(pages.map((_, index) => `Page ${index + 1} of ${pages.length}`));
    expect(texts.filter((text) => text === '2 h 6 min 30 s')).toHaveLength(60);
  });
});
