import { type ApiError, invalidRequest } from './errors.ts';
import type { ParamValue } from './params.ts';
import type { Store, TableName } from './store.ts';

const TABLE_BY_PREFIX: Record<string, TableName> = {
  ch: 'charge',
  cus: 'customer',
  dp: 'dispute',
  pi: 'payment_intent',
  pm: 'payment_method',
  re: 'refund',
  seti: 'setup_intent',
  txn: 'balance_transaction',
};

type Json = { [key: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

function notExpandable(path: string): ApiError {
  return invalidRequest(`This property cannot be expanded (${path}).`, { param: 'expand' });
}

function expandPath(store: Store, node: unknown, path: readonly string[], whole: string): void {
  const [field, ...rest] = path;
  if (field === undefined) return;
  if (Array.isArray(node)) {
    for (const item of node) expandPath(store, item, path, whole);
    return;
  }
  if (!isObject(node) || !(field in node)) {
    throw notExpandable(whole);
  }
  const value = node[field];
  if (typeof value === 'string') {
    const table = TABLE_BY_PREFIX[value.split('_')[0] ?? ''];
    const found = table && (store.get(table, value) ?? store.get('deleted_customer', value));
    if (!found) {
      throw notExpandable(whole);
    }
    node[field] = structuredClone(found);
  }
  if (typeof value !== 'string' && typeof value !== 'object') {
    throw notExpandable(whole);
  }
  if (node[field] !== null) expandPath(store, node[field], rest, whole);
}

/** A copy of an answer in which `expand[]` paths hold objects where ids stood. */
export function expand(store: Store, answer: object, paths: ParamValue | undefined): object {
  if (paths === undefined) return answer;
  if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string')) {
    throw invalidRequest('Invalid array', { param: 'expand' });
  }
  const copy = structuredClone(answer);
  for (const path of paths) {
    if (path.split('.').length > 4 + (path.startsWith('data.') ? 1 : 0)) {
      throw invalidRequest('You may expand at most four levels.', { param: 'expand' });
    }
    expandPath(store, copy, path.split('.'), path);
  }
  return copy;
}
