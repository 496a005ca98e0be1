import { describe, expect, test } from 'vitest';
import {
  type AsteriskCdrOptions,
  type CallRecord,
  type CallRecordRow,
  parseAsteriskCdr,
} from './asterisk-cdr.ts';

const usual = {
  accountcode: 'shop-7',
  src: '555-010-0142',
  dst: '+15550100199',
  dcontext: 'outbound',
  clid: '"Ada ""the first"" L., Ltd" <555-010-0142>',
  channel: 'PJSIP/desk-00000001',
  dstchannel: 'PJSIP/trunk-00000002',
  lastapp: 'Dial',
  lastdata: 'PJSIP/trunk,30',
  start: '2031-05-04 09:00:00',
  answer: '2031-05-04 09:00:07',
  end: '2031-05-04 09:01:10',
  duration: '70',
  billsec: '63',
  disposition: 'ANSWERED',
  amaflags: 'DOCUMENTATION',
  uniqueid: '1935997200.12',
  userfield: 'customer-3',
};
const numeric = new Set(['duration', 'billsec']);

/** A line as the switch writes it: text fields quoted, numbers bare. */
function row(changes: Partial<typeof usual> = {}): string {
  return Object.entries({ ...usual, ...changes })
    .map(([name, value]) => (numeric.has(name) ? value : `"${value.replaceAll('"', '""')}"`))
    .join(',');
}

async function parse(
  text: string | string[],
  options: AsteriskCdrOptions = {},
): Promise<CallRecordRow[]> {
  const rows: CallRecordRow[] = [];
  for await (const parsed of parseAsteriskCdr(Array.isArray(text) ? text : [text], options)) {
    rows.push(parsed);
  }
  return rows;
}

async function records(text: string, options?: AsteriskCdrOptions): Promise<CallRecord[]> {
  const rows = await parse(text, options);
  return rows.map((parsed) => {
    if (!parsed.ok) {
      throw new Error(`line ${parsed.line}: ${parsed.error}`);
    }
    return parsed.record;
  });
}

async function errorOf(line: string, options?: AsteriskCdrOptions): Promise<string | undefined> {
  const [parsed] = await parse(line, options);
  return parsed?.ok === false ? parsed.error : undefined;
}

describe('a record', () => {
  test('is read field by field, with quoted commas and doubled quotes in between', async () => {
    expect(await parse(`${row()}\n`)).toEqual([
      {
        line: 1,
        ok: true,
        record: {
          referenceId: expect.stringMatching(/^asterisk-[0-9a-f]{32}$/),
          uniqueId: '1935997200.12',
          accountcode: 'shop-7',
          src: '555-010-0142',
          dst: '+15550100199',
          startedAt: new Date('2031-05-04T09:00:00Z'),
          answeredAt: new Date('2031-05-04T09:00:07Z'),
          endedAt: new Date('2031-05-04T09:01:10Z'),
          durationSeconds: 70,
          billsec: 63,
          disposition: 'ANSWERED',
          billable: true,
          user: undefined,
        },
      },
    ]);
  });

  test('is the same with CRLF, without a last line break, and behind blank lines', async () => {
    const [plain] = await parse(row());
    const rows = await parse(`\r\n${row()}\r\n  \n${row()}`);
    expect(rows.map((parsed) => parsed.line)).toEqual([2, 4]);
    expect(rows.map((parsed) => ({ ...parsed, line: 1 }))).toEqual([plain, plain]);
  });

  test('has its times in the zone of the switch', async () => {
    const [record] = await records(row(), { timezone: 'America/New_York' });
    expect(record?.startedAt).toEqual(new Date('2031-05-04T13:00:00Z'));
  });

  test('may have the three newer columns', async () => {
    const [record] = await records(`${row()},"peer-9","1935997200.11",4`, {
      userField: 'peeraccount',
    });
    expect(record?.user).toBe('peer-9');
  });

  test('need not have numbers in E.164 form, a caller, or an answer', async () => {
    const text = row({ src: '', dst: 'front desk', answer: '', end: '' });
    expect(await records(text)).toMatchObject([
      { src: '', dst: 'front desk', answeredAt: undefined, endedAt: undefined },
    ]);
  });

  test.each([
    ['an answered call of some seconds', {}, true],
    ['an answered call of no second', { billsec: '0' }, false],
    ['a call nobody took', { disposition: 'NO ANSWER', answer: '', billsec: '0' }, false],
    ['a busy line', { disposition: 'BUSY', answer: '', billsec: '0' }, false],
    ['a failed call, whatever its seconds', { disposition: 'FAILED' }, false],
  ])('%s is billable: %#', async (_name, changes, billable) => {
    expect(await records(row(changes))).toMatchObject([{ billable }]);
  });

  test.each([
    ['accountcode', 'shop-7'],
    ['src', '555-010-0142'],
    ['userfield', 'customer-3'],
  ] as const)('belongs to the user in %s when told so', async (userField, user) => {
    expect(await records(row(), { userField })).toMatchObject([{ user }]);
  });
});

describe('a broken row', () => {
  test.each<[string, string, RegExp]>([
    ['too few fields', '"a","b"', /^2 fields instead of 18: cdr\.conf needs loguniqueid=yes/],
    ['too many fields', `${row()},1`, /^19 fields/],
    ['an unclosed quote', row().slice(0, -1), /^field 18 is not quoted correctly$/],
    ['text behind a quote', row().replace('"shop-7"', '"shop-7"x'), /^field 1 is not quoted/],
    ['a bare quote', row().replace('"shop-7"', 'sh"op'), /^field 1 is not quoted/],
    ['an unknown disposition', row({ disposition: 'MAYBE' }), /^disposition is none of ANSWERED/],
    ['fractional seconds', row({ billsec: '1.5' }), /^billsec is not a whole number/],
    ['negative seconds', row({ billsec: '-1' }), /^billsec is not a whole number/],
    ['seconds missing', row({ billsec: '' }), /^billsec is not a whole number/],
    ['huge seconds', row({ billsec: '2678401' }), /^billsec is not a whole number/],
    ['a duration in words', row({ duration: 'long' }), /^duration is not a whole number/],
    ['no start', row({ start: '' }), /^start is empty$/],
    ['a date no calendar has', row({ start: '2031-02-30 00:00:00' }), /^start is not a time like/],
    ['another date format', row({ answer: '05/04/31 9am' }), /^answer is not a time like/],
    ['a broken end', row({ end: 'later' }), /^end is not a time like/],
    ['no uniqueid', row({ uniqueid: '' }), /^uniqueid is empty$/],
    ['no destination', row({ dst: '' }), /^dst is empty/],
    ['an endless destination', row({ dst: '5'.repeat(65) }), /^dst is empty, longer than 64/],
    ['a control character', row({ src: '5\u0007' }), /^src is longer than 64 .* or has control/],
    ['a line without end', `${'x'.repeat(20_000)}`, /^the line is longer than 16384 characters$/],
  ])('with %s is named', async (_name, line, message) => {
    expect(await errorOf(line)).toMatch(message);
  });

  test('without its user is named only when there is something to charge', async () => {
    const noUser = { accountcode: ' ' };
    const options: AsteriskCdrOptions = { userField: 'accountcode' };
    expect(await errorOf(row(noUser), options)).toMatch(/^accountcode is empty/);
    expect(await errorOf(row({ ...noUser, disposition: 'BUSY' }), options)).toBeUndefined();
  });

  test('has its line number, and the rows around it are read all the same', async () => {
    const text = [row(), row({ start: 'x' }), `"${row()}`, row({ uniqueid: '1935997200.13' })];
    const rows = await parse(`${text.join('\n')}\n`);
    expect(rows.map(({ line, ok }) => ({ line, ok }))).toEqual([
      { line: 1, ok: true },
      { line: 2, ok: false },
      { line: 3, ok: false },
      { line: 4, ok: true },
    ]);
  });

  test('never has its values in the message', async () => {
    for (const name of ['src', 'dst', 'start', 'billsec', 'disposition', 'answer'] as const) {
      const error = await errorOf(row({ [name]: `${'5550100142'.repeat(7)}` }));
      expect(error).toBeDefined();
      expect(error).not.toContain('5550100142');
    }
  });
});

describe('the reference of a row', () => {
  async function references(...lines: string[]): Promise<(string | undefined)[]> {
    return (await records(lines.join('\n'))).map((record) => record.referenceId);
  }

  test('differs between the legs that share a uniqueid', async () => {
    const legs = [
      row(),
      row({ disposition: 'NO ANSWER', answer: '', billsec: '0' }),
      row({ dstchannel: 'PJSIP/trunk-00000003' }),
      row({ dst: '+15550100198' }),
      row({ start: '2031-05-04 09:00:01' }),
      row({ channel: 'PJSIP/desk-00000009' }),
      row({ uniqueid: '1935997200.13' }),
    ];
    expect(new Set(await references(...legs)).size).toBe(legs.length);
  });

  test('stays the same in another run, place in the file, order and time zone', async () => {
    const other = row({ uniqueid: '1935997200.13' });
    const [first] = await references(row());
    expect((await references(other, row()))[1]).toBe(first);
    const [elsewhere] = await records(row(), { timezone: 'Asia/Tokyo' });
    expect(elsewhere?.referenceId).toBe(first);
  });

  test('is one for a leg that is written twice, and for one corrected afterwards', async () => {
    const twice = await references(row(), row(), row({ billsec: '64', duration: '71' }));
    expect(new Set(twice).size).toBe(1);
  });

  test('does not hold the numbers', async () => {
    const [reference] = await references(row());
    expect(reference).not.toContain('0142');
    expect(reference).not.toContain('0199');
  });
});

test('an unknown time zone is refused before anything is read', () => {
  expect(() => parseAsteriskCdr([], { timezone: 'Mars/Olympus' })).toThrow(RangeError);
});

test('records come one by one: the first is there before the source ends', async () => {
  let asked = 0;
  function* source() {
    for (; asked < 1_000; asked += 1) {
      yield `${row({ uniqueid: `1935997200.${asked}` })}\n`;
    }
  }
  const rows = parseAsteriskCdr(source());
  expect((await rows.next()).value).toMatchObject({ line: 1, ok: true });
  expect(asked).toBeLessThan(2);
});
