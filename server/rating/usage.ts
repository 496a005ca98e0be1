/**
 * What was used: the shape that services send, and the units it is billed in.
 *
 * Messages name the field and never repeat its value: numbers, names and message texts are private.
 */
import { z } from 'zod';
import { maxSmsBodyLength, maxSmsSegments, smsSegments } from './sms-segments.ts';

export const usageTypes = ['call', 'sms', 'email', 'fax', 'file_transfer'] as const;
export type UsageType = (typeof usageTypes)[number];

/** The types that go to a number or address. */
export const usageTypesWithDestination: readonly UsageType[] = ['call', 'sms', 'fax'];

export type UsageUnit = 'second' | 'segment' | 'recipient' | 'page' | 'transfer';

/** What each type of usage is counted in. */
export const unitOfType: Readonly<Record<UsageType, UsageUnit>> = {
  call: 'second',
  sms: 'segment',
  email: 'recipient',
  fax: 'page',
  file_transfer: 'transfer',
};

/**
 * The most units one usage may have. They are far above what really happens (a call of 31 days, a
 * mailing to a million people) and low enough that units times the highest price of a rate card
 * stays inside a 64-bit amount of micros.
 */
export const maxUnitsOfType: Readonly<Record<UsageType, number>> = {
  call: 31 * 24 * 60 * 60,
  sms: maxSmsSegments,
  email: 1_000_000,
  fax: 10_000,
  file_transfer: 1_000_000,
};

/** A party is 1 to 64 characters, not all blank, without control characters or half surrogates. */
const partyPattern = /^(?!\s*$)[^\p{Cc}\p{Cs}]{1,64}$/u;

/**
 * Whether a text may stand as `to` or `from`. It need not be a telephone number in E.164 form:
 * switches also write `917-375-0980`, extensions, SIP names and feature codes.
 */
export function isParty(text: string): boolean {
  return partyPattern.test(text);
}

const party = z
  .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be a text') })
  .refine(isParty, { error: 'must be 1 to 64 characters without control characters' });

function wholeNumber(max: number) {
  const error = `must be a whole number from 0 to ${max}`;
  return z
    .int({ error: ({ input }) => (input === undefined ? 'is missing' : error) })
    .min(0, { error })
    .max(max, { error });
}

const callUsage = z.strictObject({
  type: z.literal('call'),
  /** Seconds the parties talked, from the answer to the end. */
  durationSeconds: wholeNumber(maxUnitsOfType.call),
  to: party,
  from: party.optional(),
  /** Default true. A call that was not answered costs nothing, however long it rang. */
  answered: z.boolean({ error: 'must be true or false' }).optional(),
});

const smsUsage = z
  .strictObject({
    type: z.literal('sms'),
    to: party,
    /** Segments sent; or `body`, from which they are counted; 1 when neither is given. */
    segments: wholeNumber(maxUnitsOfType.sms).optional(),
    /** The message text: used to count segments, never kept. */
    body: z
      .string({ error: 'must be a text' })
      .max(maxSmsBodyLength, {
        abort: true,
        error: `must be a text of at most ${maxSmsBodyLength} characters`,
      })
      .refine((body) => smsSegments(body).segments <= maxSmsSegments, {
        error: `must fit ${maxSmsSegments} segments`,
      })
      .optional(),
  })
  .refine((usage) => usage.segments === undefined || usage.body === undefined, {
    path: ['segments'],
    error: 'must not be given beside body',
  });

const emailUsage = z.strictObject({
  type: z.literal('email'),
  /** Default 1. */
  recipients: wholeNumber(maxUnitsOfType.email).optional(),
});

const faxUsage = z.strictObject({
  type: z.literal('fax'),
  pages: wholeNumber(maxUnitsOfType.fax),
  to: party,
});

const fileTransferUsage = z.strictObject({
  type: z.literal('file_transfer'),
  /** Default 1. */
  transfers: wholeNumber(maxUnitsOfType.file_transfer).optional(),
  /** Bytes of all transfers together; chooses the size tier where a rule has any. */
  bytes: wholeNumber(Number.MAX_SAFE_INTEGER).optional(),
});

/**
 * One usage as a service reports it. Whole numbers only; unknown fields are refused by name.
 * Zero units are allowed and cost nothing, as for a call that ended before a second had passed.
 */
export const usageSchema = z.discriminatedUnion(
  'type',
  [callUsage, smsUsage, emailUsage, faxUsage, fileTransferUsage],
  {
    error: (issue) =>
      issue.code === 'invalid_union' ? `must be one of ${usageTypes.join(', ')}` : undefined,
  },
);
export type Usage = z.infer<typeof usageSchema>;

export const usageTypeSchema = z.enum(usageTypes, {
  error: `must be one of ${usageTypes.join(', ')}`,
});

/** The units a usage consists of: seconds, segments, recipients, pages or transfers. */
export function usageUnits(usage: Usage): { unit: UsageUnit; units: number } {
  return { unit: unitOfType[usage.type], units: countUnits(usage) };
}

function countUnits(usage: Usage): number {
  switch (usage.type) {
    case 'call':
      return usage.durationSeconds;
    case 'sms':
      return usage.segments ?? (usage.body === undefined ? 1 : smsSegments(usage.body).segments);
    case 'email':
      return usage.recipients ?? 1;
    case 'fax':
      return usage.pages;
    case 'file_transfer':
      return usage.transfers ?? 1;
    default: {
      const unknown: never = usage;
      throw new TypeError(`unknown usage ${typeof unknown}`);
    }
  }
}

/** Where the usage goes, for the types that have a destination. */
export function usageDestination(usage: Usage): string | undefined {
  return 'to' in usage ? usage.to : undefined;
}

/**
 * The same usage with its defaults written out and a message text replaced by its segments, so that
 * two ways of saying the same thing compare and hash alike and no text is kept.
 */
export function canonicalUsage(usage: Usage): Usage {
  const { units } = usageUnits(usage);
  switch (usage.type) {
    case 'call':
      return { ...usage, answered: usage.answered ?? true };
    case 'sms':
      return { type: 'sms', to: usage.to, segments: units };
    case 'email':
      return { ...usage, recipients: units };
    case 'fax':
      return usage;
    case 'file_transfer':
      return { ...usage, transfers: units };
    default: {
      const unknown: never = usage;
      throw new TypeError(`unknown usage ${typeof unknown}`);
    }
  }
}

/**
 * The digits by which a destination is looked up among prefixes, or '' when it is not a telephone
 * number (a name, `*98`), which only the rule for any destination matches.
 *
 * The user part of a `sip:`, `sips:` or `tel:` address counts; spaces and `-./()` are left out; one
 * leading `+` or international `00` is dropped. National numbers stay as dialled: which country
 * they belong to is not known here, so a card for such traffic lists national prefixes.
 */
export function dialledDigits(to: string): string {
  const user = to
    .trim()
    .replace(/^(?:sips?|tel):/i, '')
    .replace(/[@;].*$/s, '');
  const number = user.replace(/[\s./()-]/g, '').replace(/^(?:\+|00)/, '');
  return /^\d+$/.test(number) ? number : '';
}
