import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalUsage,
  dialledDigits,
  maxUnitsOfType,
  type Usage,
  usageDestination,
  usageSchema,
  usageUnits,
} from './usage.ts';

/** Each problem, after the field that it is told of. */
function messagesOf(input: unknown): string[] {
  const result = usageSchema.safeParse(input);
  return result.success
    ? []
    : result.error.issues.map(({ path, message }) => [...path, message].join(' '));
}

describe('usageSchema', () => {
  test.each<Usage>([
    { type: 'call', durationSeconds: 330, to: '+15550100' },
    { type: 'call', durationSeconds: 0, to: '555-010-0199', from: 'sip:desk@pbx', answered: false },
    { type: 'call', durationSeconds: maxUnitsOfType.call, to: 'front desk' },
    { type: 'sms', to: '+15550100' },
    { type: 'sms', to: '+15550100', segments: 3 },
    { type: 'sms', to: '+15550100', body: '' },
    { type: 'email' },
    { type: 'email', recipients: 1_000_000 },
    { type: 'fax', pages: 4, to: '+15550100' },
    { type: 'file_transfer' },
    { type: 'file_transfer', transfers: 2, bytes: Number.MAX_SAFE_INTEGER },
  ])('accepts usage %# as it is', (usage) => {
    expect(usageSchema.parse(usage)).toEqual(usage);
  });

  test.each([
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    '1e3',
    '5',
    2 ** 53,
    1e300,
    null,
    true,
  ])('refuses %s as a count and names the field', (value) => {
    const counts = [
      ['durationSeconds', { type: 'call', to: '1', durationSeconds: value }],
      ['segments', { type: 'sms', to: '1', segments: value }],
      ['recipients', { type: 'email', recipients: value }],
      ['pages', { type: 'fax', to: '1', pages: value }],
      ['transfers', { type: 'file_transfer', transfers: value }],
      ['bytes', { type: 'file_transfer', bytes: value }],
    ] as const;
    for (const [field, input] of counts) {
      expect(messagesOf(input)[0]).toMatch(new RegExp(`^${field} must be a whole number`));
    }
  });

  test('refuses counts above the limit of the type', () => {
    for (const input of [
      { type: 'call', to: '1', durationSeconds: maxUnitsOfType.call + 1 },
      { type: 'sms', to: '1', segments: maxUnitsOfType.sms + 1 },
      { type: 'email', recipients: maxUnitsOfType.email + 1 },
      { type: 'fax', to: '1', pages: maxUnitsOfType.fax + 1 },
      { type: 'file_transfer', transfers: maxUnitsOfType.file_transfer + 1 },
    ]) {
      expect(messagesOf(input)).toHaveLength(1);
    }
  });

  test('names what is missing', () => {
    expect(messagesOf({ type: 'call', to: '1' })).toEqual(['durationSeconds is missing']);
    expect(messagesOf({ type: 'fax', pages: 1 })).toEqual(['to is missing']);
  });

  test.each([{ type: 'telegram' }, {}, { type: 7 }])('names the types for %o', (input) => {
    expect(messagesOf(input)).toEqual(['type must be one of call, sms, email, fax, file_transfer']);
  });

  test.each([null, 'call', 7, []])('refuses %o in place of a usage', (input) => {
    expect(messagesOf(input)).toHaveLength(1);
  });

  test('refuses unknown fields by name', () => {
    expect(messagesOf({ type: 'email', recipient: 2 })).toEqual(['Unrecognized key: "recipient"']);
  });

  test('refuses segments and body together, and a body beyond 255 segments', () => {
    expect(messagesOf({ type: 'sms', to: '1', segments: 1, body: 'hi' })).toEqual([
      'segments must not be given beside body',
    ]);
    expect(messagesOf({ type: 'sms', to: '1', body: 'ж'.repeat(255 * 67 + 1) })).toEqual([
      'body must fit 255 segments',
    ]);
    expect(messagesOf({ type: 'sms', to: '1', body: 'ж'.repeat(255 * 67) })).toEqual([]);
    expect(messagesOf({ type: 'sms', to: '1', body: 'a'.repeat(10_000_000) })).toHaveLength(1);
  });

  test.each(['', '   ', 'a\u0000b', 'a\nb', '\ud83d', 'x'.repeat(65)])(
    'refuses party %# with a control character, a half surrogate or a wrong length',
    (party) => {
      expect(messagesOf({ type: 'fax', pages: 1, to: party })).toEqual([
        'to must be 1 to 64 characters without control characters',
      ]);
      expect(messagesOf({ type: 'call', durationSeconds: 1, to: '1', from: party })).toHaveLength(
        1,
      );
    },
  );

  test('no refusal repeats what was sent', () => {
    const secret = '917-375-0980\u0007';
    const inputs = [
      { type: secret },
      { type: 'call', durationSeconds: secret, to: secret, from: secret, answered: secret },
      { type: 'sms', to: secret, body: [secret] },
      { type: 'fax', pages: 1, to: { number: secret } },
    ];
    for (const input of inputs) {
      const result = usageSchema.safeParse(input);
      expect(result.success).toBe(false);
      expect(JSON.stringify(result.error)).not.toContain('917-375');
    }
  });
});

test('usageUnits counts what each type is billed in, one by default', () => {
  expect([
    usageUnits({ type: 'call', durationSeconds: 61, to: '1' }),
    usageUnits({ type: 'sms', to: '1' }),
    usageUnits({ type: 'sms', to: '1', segments: 4 }),
    usageUnits({ type: 'sms', to: '1', body: 'ж'.repeat(71) }),
    usageUnits({ type: 'email' }),
    usageUnits({ type: 'fax', pages: 3, to: '1' }),
    usageUnits({ type: 'file_transfer', bytes: 10 }),
  ]).toEqual([
    { unit: 'second', units: 61 },
    { unit: 'segment', units: 1 },
    { unit: 'segment', units: 4 },
    { unit: 'segment', units: 2 },
    { unit: 'recipient', units: 1 },
    { unit: 'page', units: 3 },
    { unit: 'transfer', units: 1 },
  ]);
});

test('usageDestination is the party called, for types that have one', () => {
  expect(usageDestination({ type: 'fax', pages: 1, to: '123' })).toBe('123');
  expect(usageDestination({ type: 'email' })).toBeUndefined();
});

test('canonicalUsage writes defaults out, keeps no message text and is stable', () => {
  expect(canonicalUsage({ type: 'sms', to: '1', body: 'hello' })).toEqual({
    type: 'sms',
    to: '1',
    segments: 1,
  });
  expect(canonicalUsage({ type: 'email' })).toEqual({ type: 'email', recipients: 1 });
  expect(canonicalUsage({ type: 'file_transfer', bytes: 9 })).toEqual({
    type: 'file_transfer',
    transfers: 1,
    bytes: 9,
  });
  const call = canonicalUsage({ type: 'call', durationSeconds: 5, to: '1', from: '2' });
  expect(call).toEqual({ type: 'call', durationSeconds: 5, to: '1', from: '2', answered: true });
  expect(canonicalUsage(call)).toEqual(call);
});

describe('dialledDigits', () => {
  test.each([
    ['+442079460000', '442079460000'],
    ['00442079460000', '442079460000'],
    ['+44 (20) 7946-0000', '442079460000'],
    ['555-010-0199', '5550100199'],
    ['555.010.0199', '5550100199'],
    ['sip:+442079460000@pbx.example;transport=udp', '442079460000'],
    ['tel:+1-555-0100;ext=7', '15550100'],
    ['020 7946 0000', '02079460000'],
    ['front-desk', ''],
    ['sip:alice@example.org', ''],
    ['*98', ''],
    ['+', ''],
    ['++44', ''],
    ['٤٤', ''],
  ])('reads party %# as its digits, or as none', (to, digits) => {
    expect(dialledDigits(to)).toBe(digits);
  });

  test('gives nothing but digits for any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 64 }), (to) => {
        expect(dialledDigits(to)).toMatch(/^\d*$/);
      }),
    );
  });
});
