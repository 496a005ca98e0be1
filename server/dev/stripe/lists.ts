import type Stripe from 'stripe';
import { z } from 'zod';
import { invalidRequest, noSuch } from './errors.ts';
import { integer, nonEmpty } from './params.ts';
import { type Route, route } from './route.ts';
import type { TableName, Tables } from './store.ts';

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

/** The tables whose rows can be listed by when they were made. */
type Listed = {
  [Name in TableName]: Tables[Name] extends { id: string; object: string; created: number }
    ? Name
    : never;
}[TableName];

/** The route that lists a table, by `created` and by those of `fields` that a call names. */
export function listRoute<Name extends Listed>(
  path: string,
  table: Name,
  fields: readonly (keyof Tables[Name] & string)[],
): Route {
  const byField = Object.fromEntries(fields.map((field) => [field, nonEmpty.optional()]));
  const schema = z.strictObject({ ...byField, ...pagination, created });
  return route('GET', path, schema, (call, params) => {
    const named = Object.entries(params).filter(([name]) => name in byField);
    const isAskedFor = (row: Tables[Name]) =>
      createdMatches(row.created, params.created) &&
      named.every(([name, value]) => Reflect.get(row, name) === value);
    return page(call.store.all(table).filter(isAskedFor), params, path);
  });
}

/** The route that reads one row of a table. */
export function readRoute(path: string, table: Listed): Route {
  return route('GET', `${path}/:id`, z.strictObject({}), (call, _params, id) => {
    const found = call.store.get(table, id);
    if (!found) throw noSuch(table.replaceAll('_', ' '), id);
    return found;
  });
}
