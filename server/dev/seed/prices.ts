/** Rate cards of the demo data, beside the default one: a customer's own, and a draft. */
import type { RateCardJson, RateRule } from '../../rating/rate-card.ts';
import { rateRulesSchema } from '../../rating/rate-card.ts';

type RuleJson = RateCardJson['rules'][number];

/** Calls to Britain: at least 15 cents, in blocks of 6 seconds after the first 30. */
const callsToBritain = {
  id: 'call-44',
  type: 'call',
  prefix: '44',
  connectionFeeMicros: '100000',
  minimumMicros: '150000',
  initialSeconds: 30,
  nextSeconds: 6,
} as const;

/** Its price of a minute turned out to be wrong. */
export const FIRST_RULES: RuleJson[] = [{ ...callsToBritain, pricePerMinuteMicros: '60000' }];

/** Calls are cheaper at night, SMS the more the cheaper, and large files dearer. */
export const SECOND_RULES: RuleJson[] = [
  {
    ...callsToBritain,
    pricePerMinuteMicros: '45000',
    windows: [{ from: '20:00', to: '08:00', pricePerMinuteMicros: '30000' }],
  },
  {
    id: 'sms-any',
    type: 'sms',
    prefix: '',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '20000',
    monthlyTiers: [
      { aboveUnits: 10, pricePerUnitMicros: '15000' },
      { aboveUnits: 100, pricePerUnitMicros: '10000' },
    ],
  },
  {
    id: 'file-transfer-any',
    type: 'file_transfer',
    prefix: '',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '50000',
    sizeTiers: [
      { upToBytes: 10_000_000, pricePerUnitMicros: '50000' },
      { upToBytes: null, pricePerUnitMicros: '80000' },
    ],
  },
];

/** What is announced: a page by fax will cost less. */
export const THIRD_RULES: RuleJson[] = [
  ...SECOND_RULES,
  {
    id: 'fax-any',
    type: 'fax',
    prefix: '',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '120000',
  },
];

/** A version of the demo user's own card. */
export function ownCard(
  version: number,
  { effectiveFrom, rules }: { effectiveFrom: Date; rules: RuleJson[] },
): RateCardJson {
  return {
    id: `0d0c5a1e-0000-4000-8000-00000000000${version}`,
    name: 'Prices agreed with demo',
    userId: 'demo',
    currency: 'USD',
    version,
    effectiveFrom: effectiveFrom.toISOString(),
    rounding: 'half_up',
    alwaysConnect: ['112', '911'],
    rules,
  };
}

/** The rules that a draft of the default card changes: some customers would pay more, some less. */
export const DRAFT_RULES: readonly RateRule[] = rateRulesSchema.parse([
  {
    id: 'sms-any',
    type: 'sms',
    prefix: '',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '25000',
  },
  {
    id: 'email-any',
    type: 'email',
    prefix: '',
    connectionFeeMicros: '0',
    pricePerUnitMicros: '8000',
  },
]);
