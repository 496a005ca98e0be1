/**
 * Rate cards: versioned price lists. In JSON and in the database micros are decimal strings and the
 * date is an ISO instant; in memory they are `bigint` and `Date`.
 *
 * Later kinds of price are further optional fields of a rule or of a card; strict objects make sure
 * that a server which does not know such a field refuses the card instead of charging without it.
 */
import { z } from 'zod';
import { countries } from './destination.ts';
import { roundings } from './exact.ts';
import { monthlyTiers } from './monthly-tiers.ts';
import { timeWindows } from './time-windows.ts';
import { type UsageType, usageTypes } from './usage.ts';

/** The highest price or fee a card may hold: a million units of its currency. */
export const maxPriceMicros = 1_000_000_000_000n;

const priceMicros = z
  .string()
  .regex(/^(?:0|[1-9]\d{0,12})$/, {
    abort: true,
    error: 'must be whole micros as a decimal string',
  })
  .transform((text) => BigInt(text))
  .refine((micros) => micros <= maxPriceMicros, { error: `must be at most ${maxPriceMicros}` });

const SECONDS = 'must be whole seconds, from 1 to 3600';
const seconds = z
  .int({ error: ({ input }) => (input === undefined ? 'is missing' : SECONDS) })
  .min(1, { error: SECONDS })
  .max(3600, { error: SECONDS });

/** Digits without `+` or `00`; '' matches every destination. The longest match wins. */
const prefix = z
  .string()
  .regex(/^\d*$/, { abort: true, error: 'must be digits alone, without + or spaces' })
  .max(18, { error: 'must be at most 18 digits' });
const noPrefix = z.literal('', { error: 'must be empty: this type of usage goes to no number' });

const commonFields = {
  /** Names the rule in breakdowns; unique within its card. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    error: 'must be 1 to 64 letters, digits, points, hyphens or underscores',
  }),
  /** Charged once for each usage that is not free. */
  connectionFeeMicros: priceMicros,
  /** Least and most that one usage costs, fee included; free usage stays free. */
  minimumMicros: priceMicros.optional(),
  maximumMicros: priceMicros.optional(),
  /** Instead of the card's rounding. */
  rounding: z.enum(roundings).optional(),
};

/** At these times the rule has these prices instead of its own. The first that fits counts. */
const unitPriceWindows = timeWindows({
  connectionFeeMicros: priceMicros.optional(),
  pricePerUnitMicros: priceMicros.optional(),
}).optional();

/** Units beyond so many of the month have these prices instead of the rule's own. */
const unitPriceTiers = monthlyTiers({ pricePerUnitMicros: priceMicros }).optional();

const callRule = z.strictObject({
  ...commonFields,
  type: z.literal('call'),
  prefix,
  windows: timeWindows({
    connectionFeeMicros: priceMicros.optional(),
    pricePerMinuteMicros: priceMicros.optional(),
  }).optional(),
  monthlyTiers: monthlyTiers({ pricePerMinuteMicros: priceMicros }).optional(),
  pricePerMinuteMicros: priceMicros,
  /** The first seconds are billed whole, then every further block: 60/60, 30/6, 1/1. */
  initialSeconds: seconds,
  nextSeconds: seconds,
});

const smsRule = z.strictObject({
  ...commonFields,
  type: z.literal('sms'),
  prefix,
  windows: unitPriceWindows,
  monthlyTiers: unitPriceTiers,
  pricePerUnitMicros: priceMicros,
});

const emailRule = z.strictObject({
  ...commonFields,
  type: z.literal('email'),
  prefix: noPrefix,
  windows: unitPriceWindows,
  monthlyTiers: unitPriceTiers,
  pricePerUnitMicros: priceMicros,
});

const faxRule = z.strictObject({
  ...commonFields,
  type: z.literal('fax'),
  prefix,
  windows: unitPriceWindows,
  monthlyTiers: unitPriceTiers,
  pricePerUnitMicros: priceMicros,
});

const sizeTiers = z
  .array(
    z.strictObject({
      /** The largest size of this tier; null means any size, and only the last tier has it. */
      upToBytes: z.int().min(0).nullable(),
      pricePerUnitMicros: priceMicros,
    }),
  )
  .min(1)
  .refine((tiers) => tiers.every(growsTowardsOpenEnd), {
    error: 'tiers must grow and end with one whose upToBytes is null',
  });

function growsTowardsOpenEnd(
  tier: { upToBytes: number | null },
  index: number,
  tiers: readonly { upToBytes: number | null }[],
): boolean {
  if (index === tiers.length - 1) {
    return tier.upToBytes === null;
  }
  const next = tiers[index + 1]?.upToBytes ?? Number.POSITIVE_INFINITY;
  return tier.upToBytes !== null && tier.upToBytes < next;
}

const fileTransferRule = z.strictObject({
  ...commonFields,
  type: z.literal('file_transfer'),
  prefix: noPrefix,
  windows: unitPriceWindows,
  monthlyTiers: unitPriceTiers,
  /** A transfer's price when the rule has no tiers or the usage does not say its bytes. */
  pricePerUnitMicros: priceMicros,
  /** The first tier that holds the usage's bytes sets the price of each of its transfers. */
  sizeTiers: sizeTiers.optional(),
});

export const rateRuleSchema = z
  .discriminatedUnion('type', [callRule, smsRule, emailRule, faxRule, fileTransferRule])
  .refine(
    (rule) =>
      rule.minimumMicros === undefined ||
      rule.maximumMicros === undefined ||
      rule.minimumMicros <= rule.maximumMicros,
    { path: ['minimumMicros'], error: 'must not be above the maximum' },
  )
  .refine(
    (rule) =>
      !('sizeTiers' in rule && rule.sizeTiers !== undefined && rule.monthlyTiers !== undefined),
    { path: ['monthlyTiers'], error: 'goes without sizeTiers' },
  );

/** What a card says beside its rules. */
export const rateCardHeadSchema = z.strictObject({
  id: z.uuid(),
  name: z
    .string()
    .regex(/^[^\p{Cc}\p{Cs}]{1,100}$/u, 'must be 1 to 100 characters without control characters'),
  /** ISO 4217 code; amounts are micros of this currency. */
  currency: z.string().regex(/^[A-Z]{3}$/),
  version: z.int().min(1),
  /** Usage from this instant on is rated by this version, until a later one takes over. */
  effectiveFrom: z.iso.datetime({ offset: true }).transform((text) => new Date(text)),
  rounding: z.enum(roundings),
  /**
   * The customer whose own card it is; left out in the general card. Where it has no rule, the general
   * card's counts. Versions are numbered for each customer.
   */
  userId: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 visible ASCII characters')
    .optional(),
  /** The country (ISO 3166) whose national numbers callers dial; without it they stay as dialled. */
  country: z
    .string()
    .refine((code) => countries.includes(code), { error: 'must be the code of a country' })
    .optional(),
  /**
   * Numbers as they are dialled, for example emergency numbers: whoever dials one is never refused
   * and pays nothing, and what it costs is booked as goodwill.
   */
  alwaysConnect: z
    .array(z.string().regex(/^\d{2,15}$/, { error: 'must be 2 to 15 digits' }))
    .max(200)
    .optional(),
});

/** The rules of one card: each with an id of its own, and one for each type and prefix. */
export const rateRulesSchema = z.array(rateRuleSchema).superRefine((rules, context) => {
  const seenIds = new Set<string>();
  const seenTargets = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    const target = `${rule.type} ${rule.prefix}`;
    if (seenIds.has(rule.id)) {
      context.addIssue({ code: 'custom', path: [index, 'id'], message: 'must be unique' });
    }
    if (seenTargets.has(target)) {
      context.addIssue({
        code: 'custom',
        path: [index, 'prefix'],
        message: 'must be unique among the rules of its type',
      });
    }
    seenIds.add(rule.id);
    seenTargets.add(target);
  }
});

/** The JSON form of a card in, the form for calculating out. */
export const rateCardSchema = z.strictObject({
  ...rateCardHeadSchema.shape,
  rules: rateRulesSchema,
});

/** A card that is not published: its version and its date are not known yet. */
export const draftCardSchema = rateCardHeadSchema.omit({
  id: true,
  version: true,
  effectiveFrom: true,
});

export type RateRule = z.output<typeof rateRuleSchema>;
export type RateRuleJson = z.input<typeof rateRuleSchema>;
export type RateCardHead = z.output<typeof rateCardHeadSchema>;
export type DraftCard = z.output<typeof draftCardSchema>;
export type RateCard = z.output<typeof rateCardSchema>;
export type RateCardJson = z.input<typeof rateCardSchema>;

/** The JSON form of a rule, as text: parsed as a rule, it gives an equal one again. */
export function rateRuleToJson(rule: RateRule): string {
  return JSON.stringify(rule, (_key, item: unknown) =>
    typeof item === 'bigint' ? item.toString() : item,
  );
}

/** A card with its rules indexed, as `rate` takes it. */
export interface CompiledRateCard {
  readonly card: RateCard;
  /** Whether any of its prices depends on what was used this month. */
  readonly hasMonthlyTiers: boolean;
  readonly alwaysConnect: ReadonlySet<string>;
  readonly rulesByType: Readonly<Record<UsageType, PrefixIndex>>;
}

interface PrefixIndex {
  readonly rules: ReadonlyMap<string, RateRule>;
  readonly longestPrefix: number;
}

/** Indexes a card's rules by type and prefix; done once a card, not once a usage. */
export function compileRateCard(card: RateCard): CompiledRateCard {
  const index = (type: UsageType): PrefixIndex => {
    const rules = card.rules.filter((rule) => rule.type === type);
    return {
      rules: new Map(rules.map((rule) => [rule.prefix, rule])),
      longestPrefix: rules.reduce((longest, rule) => Math.max(longest, rule.prefix.length), 0),
    };
  };
  const entries = usageTypes.map((type) => [type, index(type)] as const);
  return {
    card,
    alwaysConnect: new Set(card.alwaysConnect),
    hasMonthlyTiers: card.rules.some((rule) => rule.monthlyTiers !== undefined),
    rulesByType: Object.fromEntries(entries) as Record<UsageType, PrefixIndex>,
  };
}

/**
 * The rule with the longest prefix of `digits`, in at most one look-up for each digit however many
 * prefixes the card has.
 */
export function findRule(
  compiled: CompiledRateCard,
  type: UsageType,
  digits: string,
): RateRule | undefined {
  const { rules, longestPrefix } = compiled.rulesByType[type];
  for (let length = Math.min(longestPrefix, digits.length); length >= 0; length -= 1) {
    const rule = rules.get(digits.slice(0, length));
    if (rule !== undefined) {
      return rule;
    }
  }
  return undefined;
}
