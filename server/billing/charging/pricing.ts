/** Usage as prices and limits see it. */
import { Fault } from '../../faults.ts';
import { destinationBy, type PriceList, withDestinationBy } from '../../rating/price-list.ts';
import type { Usage } from '../../rating/usage.ts';

/** The usage with its destination in normal form. Throws a `BAD_REQUEST` when it has none such. */
export function normalUsage(prices: PriceList, usage: Usage, field: string): Usage {
  const normal = withDestinationBy(prices, usage);
  if (normal === undefined) {
    throw noDestination(`${field}.to`);
  }
  return normal;
}

/** A destination in normal form. Throws a `BAD_REQUEST` when it is none. */
export function normalTo(prices: PriceList, to: string, field: string): string {
  const normal = destinationBy(prices, to);
  if (normal === undefined) {
    throw noDestination(field);
  }
  return normal;
}

function noDestination(field: string): Fault {
  return new Fault('BAD_REQUEST', {
    publicMessage: `${field}: must be a number that can be dialled, or a name`,
  });
}
