import type Stripe from 'stripe';
import { z } from 'zod';
import { invalidRequest, noSuch } from './errors.ts';
import { integer, nonEmpty } from './params.ts';

const range = z.strictObject({
  gt: integer.optional(),
  gte: integer.optional(),
  lt: integer.optional(),
  lte: integer.optional(),
});

/** Parameters of every list. */
export const pagination = {
  limit: integer.optional(),
  starting_after: nonEmpty.optional(),
  ending_before: nonEmpty.optional(),
};

/** A filter on `created`: an exact second or bounds. */
export const created = z.union([integer, range]).optional();

export function createdMatches(at: number, filter: z.infer<typeof created>): boolean {
  if (filter === undefined) return true;
  if (typeof filter === 'number') return at === filter;
  return (
    (filter.gt === undefined || at > filter.gt) &&
    (filter.gte === undefined || at >= filter.gte) &&
    (filter.lt === undefined || at < filter.lt) &&
    (filter.lte === undefined || at <= filter.lte)
  );
}

interface PageParams {
  limit?: number | undefined;
  starting_after?: string | undefined;
  ending_before?: string | undefined;
}

/** One page of `rows` (given oldest first) as Stripe returns it: newest first. */
export function page<Row extends { id: string; object: string }>(
  rows: Row[],
  params: PageParams,
  url: string,
): Stripe.ApiList<Row> {
  const limit = params.limit ?? 10;
  if (limit < 1 || limit > 100) {
    throw invalidRequest('Invalid limit: must be between 1 and 100', { param: 'limit' });
  }
  const newestFirst = [...rows].reverse();
  const positionOf = (id: string, param: string): number => {
    const position = newestFirst.findIndex((row) => row.id === id);
    if (position < 0) throw noSuch('object', id, param, 400);
    return position;
  };
  if (params.ending_before !== undefined) {
    const end = positionOf(params.ending_before, 'ending_before');
    const start = Math.max(0, end - limit);
    return { object: 'list', data: newestFirst.slice(start, end), has_more: start > 0, url };
  }
  const start =
    params.starting_after === undefined
      ? 0
      : positionOf(params.starting_after, 'starting_after') + 1;
  const data = newestFirst.slice(start, start + limit);
  return { object: 'list', data, has_more: start + limit < newestFirst.length, url };
}
