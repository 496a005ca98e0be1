/** Prices as people say them. */
import type { PriceView } from '../server/views/prices.ts';
import { formatCount, formatMoney, humanize } from './format.ts';
import { formatUnits, unitName } from './usage-names.ts';
import type { Wire } from './wire.ts';

export type Price = Wire<PriceView>;

/** `$0.05 a minute + $0.10 to connect`. */
export function priceWords(price: Price, currency: string): string {
  const parts = [
    price.priceMicros !== '0' && perUnit(price.type, price.priceMicros, currency),
    price.connectionFeeMicros !== '0' && toConnect(price.connectionFeeMicros, currency),
  ].filter((part) => part !== false);
  return parts.join(' + ') || 'Free';
}

/** What else decides the amount, a sentence each. */
export function termsWords(price: Price, currency: string): string[] {
  const { minimumMicros, maximumMicros, sizeTiers, monthlyTiers, windows } = price;
  return [
    ...billedWords(price),
    ...(minimumMicros === null ? [] : [`At least ${formatMoney(minimumMicros, currency)}`]),
    ...(maximumMicros === null ? [] : [`At most ${formatMoney(maximumMicros, currency)}`]),
    ...sizeTiers.map(({ upToBytes, priceMicros }) => {
      const size = upToBytes === null ? 'Larger' : `Up to ${formatCount(upToBytes)} bytes`;
      return `${size} ${formatMoney(priceMicros, currency)}`;
    }),
    ...monthlyTiers.map((tier) => tierWords(tier, price.type, currency)),
    ...windows.map((window) => windowWords(window, price.type, currency)),
  ];
}

function billedWords({ initialSeconds, nextSeconds }: Price): string[] {
  if (initialSeconds === null || nextSeconds === null) return [];
  if (initialSeconds === 1 && nextSeconds === 1) return ['Billed by the second'];
  return initialSeconds === nextSeconds
    ? [`Billed by each begun ${nextSeconds} seconds`]
    : [`Billed ${initialSeconds} seconds at least, then by each begun ${nextSeconds} seconds`];
}

function tierWords(
  { aboveUnits, priceMicros }: Price['monthlyTiers'][number],
  type: string,
  currency: string,
): string {
  const price = perUnit(type, priceMicros, currency);
  return `After ${formatUnits(type, aboveUnits)} in a month: ${price}`;
}

function windowWords(window: Price['windows'][number], type: string, currency: string): string {
  const { days, from, to, priceMicros, connectionFeeMicros } = window;
  const when = `${days === null ? '' : `${days.map(humanize).join(', ')} `}${from}–${to}`;
  const prices = [
    priceMicros !== null && perUnit(type, priceMicros, currency),
    connectionFeeMicros !== null && toConnect(connectionFeeMicros, currency),
  ].filter((part) => part !== false);
  return `${when}: ${prices.join(' + ')}`;
}

function perUnit(type: string, micros: string, currency: string): string {
  return `${formatMoney(micros, currency)} a ${type === 'call' ? 'minute' : unitName(type)}`;
}

function toConnect(micros: string, currency: string): string {
  return micros === '0' ? 'nothing to connect' : `${formatMoney(micros, currency)} to connect`;
}
