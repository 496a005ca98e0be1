import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitCsvLine } from '../rating/csv-line.ts';
import { type CsvRecord, csvLine, csvRecords, unguarded } from './csv.ts';

async function read(chunks: Iterable<string>): Promise<CsvRecord[]> {
  const records: CsvRecord[] = [];
  for await (const record of csvRecords(chunks)) {
    records.push(record);
  }
  return records;
}

describe('a line of CSV', () => {
  it.each([
    '=HYPERLINK("https://evil.example","Click")',
    '+14155550132',
    '-2+3+cmd|calc',
    '@SUM(A1:A9)',
    '\t=1+1',
    '\r=1+1',
    '\n=1+1',
  ])('is no formula to a spreadsheet where it holds %j', (text) => {
    const [field = ''] = splitCsvLine(csvLine([text]).slice(0, -2));
    expect(field).toBe(`'${text}`);
    expect(unguarded(field)).toBe(text);
  });

  it('leaves numbers numbers, the negative ones too', () => {
    expect(csvLine([-375_000n, '-0.375', 12, 0n, null])).toBe('-375000,-0.375,12,0,\r\n');
  });

  it('is read as the texts that it was made of, wherever the file is cut', async () => {
    const field = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('"', "'", ',', '\r', '\n', '=', '-', '1', 'é') }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(200), { maxLength: 5 }),
        async (rows, cuts) => {
          const text = rows.map(csvLine).join('');
          const at = [0, ...cuts.sort((a, b) => a - b), text.length];
          const chunks = at.slice(1).map((end, index) => text.slice(at[index], end));
          const found = await read(chunks);
          expect(found.map(({ fields }) => fields?.map(unguarded))).toEqual(rows);
        },
      ),
    );
  });

  it('is counted by line feeds, also by those within a field', async () => {
    const found = await read(['\uFEFFa,b\r\n\r\n"x\ny\nz",1\n', 'last,2']);
    expect(found).toEqual([
      { line: 1, fields: ['a', 'b'] },
      { line: 3, fields: ['x\ny\nz', '1'] },
      { line: 6, fields: ['last', '2'] },
    ]);
  });

  it.each(['a"b,c', '"a"b,c'])('that is not quoted correctly has no fields: %s', async (text) => {
    const [first, second] = await read(['d,e\r\n', `${text}\r\n`]);
    expect(first).toEqual({ line: 1, fields: ['d', 'e'] });
    expect(second).toEqual({ line: 2, fields: null });
  });

  it('whose quote never ends does not take the whole file into memory', async () => {
    let given = 0;
    function* endless() {
      yield 'a,b\r\n"';
      for (; given < 100; given += 1) yield 'x'.repeat(1_000_000);
    }
    expect(await read(endless())).toEqual([
      { line: 1, fields: ['a', 'b'] },
      { line: 2, fields: null },
    ]);
    expect(given).toBeLessThan(10);
  });
});
