import { describe, expect, it } from 'vitest';
import { looksLikeCard, scrubJson, scrubText } from './scrub.ts';

describe('scrubText', () => {
  it.each([
    ['paid with 4242424242424242 today', 'paid with [card] today'],
    ['4242 4242 4242 4242', '[card]'],
    ['4242-4242-4242-4242 12/34 123', '[card] 12/34 123'],
    ['4242 4242 4242 4242 12', '[card] 12'],
    ['12 4000 0000 0000 0002', '12 [card]'],
    ['378282246310005,5555555555554444', '[card],[card]'],
    ['4242 4242 4242 4242 4000 0000 0000 0002', '[card] [card]'],
    ['card4222222222222x', 'card[card]x'],
  ])('removes card numbers: %s', (text, clean) => {
    expect(scrubText(text)).toBe(clean);
  });

  it('finds a card at the end of very many digits, in linear time', () => {
    const clean = scrubText(`${'1 '.repeat(20_000)}4242 4242 4242 4242`);
    expect(clean.endsWith('1 [card]')).toBe(true);
  });

  it.each([
    ['mail to ann.lee+x@mail.example.com now', 'mail to [email] now'],
    ['<ann@example.org>', '<[email]>'],
    ['/login?email=ann%40example.org&x=1', '/login?email=[email]&x=1'],
    [
      'Key (lower(email))=(ann@example.org) already exists',
      'Key (lower(email))=([email]) already exists',
    ],
  ])('removes email addresses: %s', (text, clean) => {
    expect(scrubText(text)).toBe(clean);
  });

  it.each([
    ['call +15551234567 failed', 'call [phone] failed'],
    ['+1 (555) 123-4567', '[phone]'],
    ['to=%2B4915112345678', 'to=[phone]'],
    ['+44 20.7946.0958!', '[phone]!'],
  ])('removes phone numbers: %s', (text, clean) => {
    expect(scrubText(text)).toBe(clean);
  });

  it.each([
    ['postgres://wallet:hunter2@db.example/wallet', 'postgres://[secret]@db.example/wallet'],
    ['postgresql://u:p@ss/w@db/x', 'postgresql://[secret]@db/x'],
    ['smtp://me:hunter2@mail.example:25', 'smtp://[secret]@mail.example:25'],
    ['host=db password=hunter2 user=x', 'host=db password=[secret] user=x'],
    ['Authorization: Bearer abcdef.ghijkl', 'Authorization: Bearer [secret]'],
    ['key sk_test_51HxAbC', 'key [secret]'],
    ['rk_live_abcdefgh', '[secret]'],
    ['whsec_abc+def/ghi=', '[secret]'],
    ['signkey-prod-0123456789abcdef', '[secret]'],
    ['pi_3Abc_secret_Xyz789', 'pi_3Abc_secret_[secret]'],
    ['cookie __Host-session=abcdef; a=1', 'cookie __Host-session=[secret]; a=1'],
    ['$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', '[secret]'],
  ])('removes secrets: %s', (text, clean) => {
    expect(scrubText(text)).toBe(clean);
  });

  it.each([
    '2026-11-23T01:25:00.123+00:00',
    'charged 8773337 micros in 12.5 ms',
    'at file:///srv/app/node_modules/hono@4.13.19/dist/index.js:12:34',
    'http://127.0.0.1:3000/account/top-up?topup=tu_1',
    'https://wallet.example.com/@vite/client',
    'wallet 7b0f3a52-5f3e-4a57-9a3c-52d9f3f5b7aa',
    'key_abcdefgh234567ab',
    '1732324800000',
    '4242424242424241',
  ])('leaves alone what is none of these: %s', (text) => {
    expect(scrubText(text)).toBe(text);
  });
});

describe('looksLikeCard', () => {
  it.each([
    ['4222222222222', true],
    ['4242424242424242', true],
    ['6304000000000000018', true],
    ['4242424242424243', false],
    ['424242424242', false],
    ['42424242424242424242', false],
    ['1732324800000', false],
  ])('%s: %s', (digits, expected) => {
    expect(looksLikeCard(digits)).toBe(expected);
  });
});

describe('scrubJson', () => {
  function scrubbed(value: unknown): unknown {
    return JSON.parse(scrubJson(JSON.stringify(value)));
  }

  it('removes the values of secret fields at any depth, whatever they look like', () => {
    expect(
      scrubbed({
        a: [{ req: { headers: { Authorization: 'x', cookie: ['y', 'z'] } } }],
        new_password: 'p',
        client_secret: 's',
        cvc: 123,
        'set-cookie': 'c',
      }),
    ).toEqual({
      a: [
        { req: { headers: { Authorization: '[redacted]', cookie: ['[redacted]', '[redacted]'] } } },
      ],
      new_password: '[redacted]',
      client_secret: '[redacted]',
      cvc: '[redacted]',
      'set-cookie': '[redacted]',
    });
  });

  it('removes bare phone numbers from the fields that hold them, and leaves dates there', () => {
    expect(scrubbed({ to: '5551234567', from: 15551234567, dst: ['020 7946 0958'] })).toEqual({
      to: '[phone]',
      from: '[phone]',
      dst: ['[phone]'],
    });
    expect(scrubbed({ from: '2026-10-01', to: '2026-11' })).toEqual({
      from: '2026-10-01',
      to: '2026-11',
    });
  });

  it('removes card numbers that are JSON numbers, and those in keys', () => {
    expect(scrubbed({ n: 4242424242424242, '4242424242424242': 'ann@example.org' })).toEqual({
      n: '[card]',
      '[card]': '[email]',
    });
  });

  it('stays valid JSON with escapes before what it removes', () => {
    expect(scrubbed({ m: 'a\nann@example.org "quoted" \\ \u0007' })).toEqual({
      m: 'a\n[email] "quoted" \\ \u0007',
    });
  });

  it('leaves numbers, fractions, literals and texts as they are', () => {
    const line =
      '{"a":1.4242424242424242,"b":-3,"c":true,"d":null,"e":"\\u00e9","big":9007199254740993}\n';
    expect(scrubJson(line)).toBe(line);
  });
});
