/**
 * Takes out of text what must never be kept: card numbers, phone numbers, email addresses,
 * secrets. It errs towards removing: an id that happens to look like a card number is lost.
 */

/** A run of digits as people write card numbers: in groups parted by single blanks or dashes. */
const DIGIT_RUN = /\d(?:[ -]?\d){12,}/g;
const CARD_DIGITS = { min: 13, max: 19 };

/** `+` and at least seven digits, with the usual punctuation; the plus may be percent-encoded. */
const PHONE = /(?:\+|%2B)[ (]{0,2}\d(?:[ ().-]{0,2}\d){6,}/gi;
/** The local part is bounded, so that long text without an address costs linear time. */
const EMAIL = /[^\s@"'<>()[\],;:=/?&\\]{1,64}(?:@|%40)(?:[\p{L}\d-]{1,63}\.){1,8}\p{L}{2,63}/giu;

const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(postgres(?:ql)?:\/\/)\S*@/gi, '$1[secret]@'],
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#@]*:[^\s/?#]*@/gi, '$1[secret]@'],
  [/\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{6,}/gi, '$1 [secret]'],
  [/(?<![A-Za-z0-9])(?:sk|rk)_[A-Za-z0-9_]{6,}/g, '[secret]'],
  [/(?<![A-Za-z0-9])(?:whsec_|signkey-)[\w+/=-]{6,}/g, '[secret]'],
  [/(?<![A-Za-z0-9])((?:pi|seti|cuss)_\w*?_secret_)\w+/g, '$1[secret]'],
  [/\b((?:password|passwd|pwd|session|token|api_?key|client_secret)=)[^\s&;,"']+/gi, '$1[secret]'],
  [/\$argon2\w*\$\S+/g, '[secret]'],
];

/** Whether the digits could be a card's: an industry's first digit, and Luhn's checksum. */
export function looksLikeCard(digits: string): boolean {
  // Payment cards start with 2 to 6; times in milliseconds start with 1.
  if (digits.length < CARD_DIGITS.min || digits.length > CARD_DIGITS.max) return false;
  if (!/^[2-6]/.test(digits)) return false;
  let sum = 0;
  for (let i = 0; i < digits.length; i += 1) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = digit * 2;
    sum += i % 2 === 0 ? digit : doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** The text with every secret, card number, email address and phone number replaced by its kind. */
export function scrubText(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of SECRETS) clean = clean.replace(pattern, replacement);
  if (/@|%40/.test(clean)) clean = clean.replace(EMAIL, '[email]');
  return clean.replace(PHONE, '[phone]').replace(DIGIT_RUN, scrubCards);
}

/**
 * Replaces card numbers in a run of digit groups. Other digits may stand beside one ("4242 4242
 * 4242 4242 12"), so at each group the longest stretch of whole groups that is a card is taken.
 */
function scrubCards(run: string): string {
  // Groups at even places, what parts them at odd ones.
  const parts = run.split(/([ -])/);
  let clean = '';
  let at = 0;
  while (at < parts.length) {
    const end = cardEnd(parts, at);
    clean += end > at ? '[card]' : parts[at];
    at = end > at ? end : at + 1;
    if (at % 2 === 1) {
      clean += parts[at] ?? '';
      at += 1;
    }
  }
  return clean;
}

/** The place after the longest card number that starts with the group at `start`, else `start`. */
function cardEnd(parts: readonly string[], start: number): number {
  let digits = '';
  let end = start;
  for (let at = start; at < parts.length && digits.length <= CARD_DIGITS.max; at += 2) {
    digits += parts[at];
    if (looksLikeCard(digits)) end = at + 1;
  }
  return end;
}

/** Names of fields whose text is never kept, in lower case without `-` and `_`. */
const SECRET_FIELDS = new Set([
  'apikey',
  'authorization',
  'bankaccount',
  'cardnumber',
  'clientsecret',
  'cookie',
  'cookieheader',
  'currentpassword',
  'cvc',
  'cvv',
  'databaseurl',
  'email',
  'newpassword',
  'password',
  'passwordhash',
  'phone',
  'receiptemail',
  'secret',
  'secrethash',
  'secretkey',
  'sessionsecret',
  'setcookie',
  'signingkey',
  'stripesignature',
  'token',
  'webhooksecret',
  'xinngestsignature',
]);

/** Fields that hold a subscriber's number when their text looks like one, with or without a plus. */
const NUMBER_FIELDS = new Set(['to', 'from', 'src', 'dst', 'caller', 'callee', 'destination']);
const BARE_PHONE = /^[\d ().-]{7,}$/;
const DATE = /^\d{4}-\d{2}(?:-\d{2})?$/;

const JSON_TOKEN = /"([^"\\]*(?:\\.[^"\\]*)*)"(:?)|-?\d[\d.eE+-]*/g;
/** The digits of a measured fraction are no card number. */
const FRACTION = /^-?\d+\.\d+$/;

/**
 * A line of JSON without secrets and personal data, at any depth: texts and keys through
 * {@link scrubText}, whole values by the name of their field. The result is still valid JSON.
 */
export function scrubJson(line: string): string {
  let field = '';
  return line.replace(JSON_TOKEN, (token, escaped: string | undefined, colon?: string) => {
    const text = escaped === undefined ? token : unquote(escaped);
    if (colon) {
      field = text.toLowerCase().replace(/[-_]/g, '');
      return `${JSON.stringify(scrubText(text))}:`;
    }
    const clean = scrubValue(field, text);
    return clean === text ? token : JSON.stringify(clean);
  });
}

function scrubValue(field: string, text: string): string {
  if (SECRET_FIELDS.has(field)) return '[redacted]';
  if (NUMBER_FIELDS.has(field) && BARE_PHONE.test(text) && !DATE.test(text)) return '[phone]';
  return FRACTION.test(text) ? text : scrubText(text);
}

function unquote(escaped: string): string {
  return escaped.includes('\\') ? JSON.parse(`"${escaped}"`) : escaped;
}
