/**
 * Usage and its price in plain words.
 *
 * What a charge keeps is read leniently: an entry written by another version of the program, or
 * one of a kind that does not exist yet, is described as far as it is understood.
 */
import { z } from 'zod';
import { formatDuration, formatMoney, humanize } from './format.ts';
import { formatUnits, unitName, usageName } from './usage-names.ts';

/** One line of a details list. */
export interface Fact {
  label: string;
  value: string;
}

const usageSchema = z.object({
  type: z.string(),
  to: z.string().optional(),
  from: z.string().optional(),
  answered: z.boolean().optional(),
  durationSeconds: z.number().optional(),
  segments: z.number().optional(),
  recipients: z.number().optional(),
  pages: z.number().optional(),
  transfers: z.number().optional(),
});

export interface UsageText {
  /** `Call, 5 min 30 s`. */
  title: string;
  /** Whom it was to, where the type has a destination. */
  to: string | null;
  facts: Fact[];
}

/** A usage in words, or null when the value is none. */
export function describeUsage(value: unknown): UsageText | null {
  const parsed = usageSchema.safeParse(value);
  if (!parsed.success) return null;
  const usage = parsed.data;
  const units =
    usage.durationSeconds ?? usage.segments ?? usage.recipients ?? usage.pages ?? usage.transfers;
  const name = usageName(usage.type);
  const quantity =
    usage.answered === false
      ? 'not answered'
      : units === undefined
        ? null
        : formatUnits(usage.type, units);
  return {
    title: quantity === null ? name : `${name}, ${quantity}`,
    to: usage.to ?? null,
    facts: [
      ...(usage.to === undefined ? [] : [{ label: 'To', value: usage.to }]),
      ...(usage.from === undefined ? [] : [{ label: 'From', value: usage.from }]),
    ],
  };
}

const breakdownSchema = z.object({
  type: z.string(),
  currency: z.string(),
  rateCardVersion: z.number().optional(),
  units: z.number(),
  prefix: z.string().optional(),
  free: z.string().optional(),
  timeOfDay: z
    .object({ window: z.object({ from: z.string(), to: z.string() }).optional() })
    .optional(),
  goodwillMicros: z.string().optional(),
  price: z
    .object({
      connectionFeeMicros: z.string(),
      priceMicros: z.string(),
      perUnits: z.number(),
      billedUnits: z.number(),
      increments: z.object({ initialSeconds: z.number(), nextSeconds: z.number() }).optional(),
      monthly: z
        .object({ parts: z.array(z.object({ units: z.number(), priceMicros: z.string() })) })
        .optional(),
      rounding: z.string().optional(),
      minimumMicros: z.string().optional(),
      maximumMicros: z.string().optional(),
      applied: z.enum(['minimum', 'maximum']).optional(),
    })
    .optional(),
  amountMicros: z.string(),
});
type Breakdown = z.infer<typeof breakdownSchema>;
type Price = NonNullable<Breakdown['price']>;

/** How a price came about, or nothing when the value is no breakdown. */
export function describeBreakdown(value: unknown): Fact[] {
  const parsed = breakdownSchema.safeParse(value);
  if (!parsed.success) return [];
  const breakdown = parsed.data;
  const { free, price, prefix, rateCardVersion, timeOfDay, goodwillMicros, currency } = breakdown;
  const window = timeOfDay?.window;
  return [
    ...(free === undefined ? [] : [{ label: 'Free of charge', value: humanize(free) }]),
    ...(goodwillMicros === undefined
      ? []
      : [{ label: 'Paid for you', value: formatMoney(goodwillMicros, currency) }]),
    ...(price === undefined ? [] : priceFacts(breakdown, price)),
    ...(window === undefined
      ? []
      : [{ label: 'Time of day', value: `${window.from} to ${window.to}` }]),
    ...(prefix ? [{ label: 'Destination rate', value: `+${prefix}` }] : []),
    ...(rateCardVersion === undefined
      ? []
      : [{ label: 'Rate card', value: `Version ${rateCardVersion}` }]),
  ];
}

function priceFacts({ type, currency, units }: Breakdown, price: Price): Fact[] {
  const { billedUnits, connectionFeeMicros, priceMicros, perUnits, increments, applied } = price;
  const per = type === 'call' ? perDuration(perUnits) : perQuantity(type, perUnits);
  const limitMicros = applied === 'minimum' ? price.minimumMicros : price.maximumMicros;
  return [
    ...(connectionFeeMicros === '0'
      ? []
      : [{ label: 'Connection fee', value: formatMoney(connectionFeeMicros, currency) }]),
    ...(price.monthly?.parts ?? [{ units: billedUnits, priceMicros }]).map((part) => ({
      label: part.units === billedUnits ? 'Price' : `Price of ${formatUnits(type, part.units)}`,
      value: `${formatMoney(part.priceMicros, currency)} per ${per}`,
    })),
    ...(billedUnits === units
      ? []
      : [{ label: 'Billed as', value: billedAs(formatUnits(type, billedUnits), increments) }]),
    ...(applied === undefined || limitMicros === undefined
      ? []
      : [{ label: `${humanize(applied)} applied`, value: formatMoney(limitMicros, currency) }]),
    ...(price.rounding === undefined
      ? []
      : [{ label: 'Rounding', value: `${humanize(price.rounding)}, once` }]),
  ];
}

function perDuration(seconds: number): string {
  return seconds === 60 ? 'minute' : formatDuration(seconds);
}

function perQuantity(type: string, units: number): string {
  return units === 1 ? unitName(type) : formatUnits(type, units);
}

function billedAs(quantity: string, increments: Price['increments']): string {
  if (increments === undefined) return quantity;
  const { initialSeconds, nextSeconds } = increments;
  return `${quantity} (at least ${initialSeconds} s, then each ${nextSeconds} s begun)`;
}
