/** What reading objects and lists of Stripe's has in common. */
import { StripeGatewayError, toGatewayError } from './errors.ts';

/** What was read, or null when Stripe knows no such object. */
export async function orNull<T>(read: Promise<T>): Promise<T | null> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof StripeGatewayError && error.providerCode === 'resource_missing') {
      return null;
    }
    throw error;
  }
}

/** Stripe's filter for what was made in `[from, to)`, to whole seconds. */
export function createdIn({ from, to }: { from: Date; to: Date }): { gte: number; lt: number } {
  return { gte: Math.ceil(from.getTime() / 1000), lt: Math.ceil(to.getTime() / 1000) };
}

/** A list of Stripe's, page by page, with the errors of a gateway. */
export async function* readList<Item, View>(
  operation: string,
  list: AsyncIterable<Item>,
  viewOf: (item: Item) => View,
): AsyncGenerator<View> {
  try {
    for await (const item of list) yield viewOf(item);
  } catch (error) {
    throw toGatewayError(operation, error);
  }
}
