/** Cards and usages that the tests of rating share. */
import { defaultRateCard } from './default-rate-card.ts';
import { type Breakdown, rate } from './rate.ts';
import {
  type CompiledRateCard,
  compileRateCard,
  type RateCardJson,
  rateCardSchema,
} from './rate-card.ts';
import type { Usage, UsageType } from './usage.ts';

export type RuleJson = RateCardJson['rules'][number];
export type CallRuleJson = Extract<RuleJson, { type: 'call' }>;

export const defaults = compileRateCard(rateCardSchema.parse(defaultRateCard));

/** When and where, for prices that depend on neither. */
export const circumstances = { at: new Date('2026-11-02T12:00:00Z'), timezone: 'UTC' };

export const callRule: CallRuleJson = {
  id: 'call',
  type: 'call',
  prefix: '',
  connectionFeeMicros: '0',
  pricePerMinuteMicros: '50000',
  initialSeconds: 1,
  nextSeconds: 1,
};

export function compile(...rules: RuleJson[]) {
  return compileRateCard(rateCardSchema.parse({ ...defaultRateCard, rules }));
}

export function amount(compiled: CompiledRateCard, usage: Usage, when = circumstances): bigint {
  const result = rate([compiled], usage, when);
  if (!result.ok) {
    throw new Error(result.detail);
  }
  return result.amountMicros;
}

export function breakdownOf(
  compiled: CompiledRateCard,
  usage: Usage,
  when = circumstances,
): Breakdown {
  const result = rate([compiled], usage, when);
  if (!result.ok) {
    throw new Error(result.detail);
  }
  return result.breakdown;
}

export function call(durationSeconds: number, to = '15550100'): Usage {
  return { type: 'call', durationSeconds, to };
}

export function usageOf(type: UsageType, units: number): Usage {
  switch (type) {
    case 'call':
      return call(units);
    case 'sms':
      return { type, to: '15550100', segments: units };
    case 'email':
      return { type, recipients: units };
    case 'fax':
      return { type, to: '15550100', pages: units };
    case 'file_transfer':
      return { type, transfers: units };
    default: {
      const unknown: never = type;
      throw new TypeError(`unknown type ${String(unknown)}`);
    }
  }
}
