/** Usage as prices and limits see it. */
import { Fault } from '../../faults.ts';
import { destinationBy, type PriceList, withDestinationBy } from '../../rating/price-list.ts';
import type { Usage, UsageType } from '../../rating/usage.ts';

/** The usage with its destination in normal form. Throws `BAD_REQUEST` when it is no destination. */
export function normalUsage(prices: PriceList, usage: Usage, field: string): Usage {
  const normal = withDestinationBy(prices, usage);
  if (normal === undefined) {
    throw noDestination(`${field}.to`, usage.type);
  }
  return normal;
}

/** A destination in normal form. Throws `BAD_REQUEST` when it is none, or none for the type. */
export function normalTo(
  prices: PriceList,
  to: string,
  type: UsageType | undefined,
  field: string,
): string {
  const normal = destinationBy(prices, to, type);
  if (normal === undefined) {
    throw noDestination(field, type);
  }
  return normal;
}

function noDestination(field: string, type: UsageType | undefined): Fault {
  const name = type === undefined || type === 'call' ? ', or a name' : '';
  return new Fault('BAD_REQUEST', {
    publicMessage: `${field}: must be a number that can be dialled${name}`,
  });
}
