import { z } from 'zod';
import { type ApiError, invalidRequest } from './errors.ts';

/** Decoded form parameters: `a[b]=1&c[0]=2` becomes `{a: {b: '1'}, c: ['2']}`. */
export type ParamTree = { [key: string]: ParamValue };
export type ParamValue = string | ParamValue[] | ParamTree;

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

function keyPath(key: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(key);
  if (!match) throw invalidRequest(`Invalid parameter name: ${key}`);
  const [, head = '', rest = ''] = match;
  const path = [head, ...[...rest.matchAll(/\[([^[\]]*)\]/g)].map((part) => part[1] ?? '')];
  if (path.some((part) => FORBIDDEN_KEYS.has(part))) {
    throw invalidRequest(`Invalid parameter name: ${key}`);
  }
  return path;
}

/** Objects whose keys are all array positions become arrays, in the order of those positions. */
function toArrays(value: ParamValue): ParamValue {
  if (typeof value === 'string' || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, toArrays(item)] as const);
  if (entries.length > 0 && entries.every(([key]) => /^\d+$/.test(key))) {
    return entries.sort(([a], [b]) => Number(a) - Number(b)).map(([, item]) => item);
  }
  return Object.fromEntries(entries);
}

/** Decodes `application/x-www-form-urlencoded` the way Stripe nests it; `a[]=` appends. */
export function decodeForm(text: string): ParamTree {
  const root: ParamTree = {};
  for (const [key, value] of new URLSearchParams(text)) {
    const path = keyPath(key);
    let node = root;
    path.forEach((part, depth) => {
      const name = part === '' ? String(Object.keys(node).length) : part;
      if (depth === path.length - 1) {
        node[name] = value;
        return;
      }
      const next = node[name] ?? {};
      if (typeof next === 'string' || Array.isArray(next)) {
        throw invalidRequest(`Invalid parameter name: ${key}`);
      }
      node[name] = next;
      node = next;
    });
  }
  return Object.fromEntries(Object.entries(root).map(([key, value]) => [key, toArrays(value)]));
}

/** `['card', 'number']` → `card[number]`, as Stripe names a nested parameter. */
function paramName(path: readonly PropertyKey[]): string {
  const [head, ...rest] = path.map(String);
  return `${head ?? ''}${rest.map((part) => `[${part}]`).join('')}`;
}

function valueAt(tree: ParamTree, path: readonly PropertyKey[]): unknown {
  let value: unknown = tree;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function toApiError(issue: z.core.$ZodIssue, tree: ParamTree): ApiError {
  if (issue.code === 'unrecognized_keys') {
    const param = paramName([...issue.path, issue.keys[0] ?? '']);
    if (param === 'payment_method_types') {
      return invalidRequest(
        'The parameter `payment_method_types` is no longer supported. Use `automatic_payment_methods` or `allowed_payment_method_types` instead.',
        { code: 'payment_method_types_no_longer_supported', param },
      );
    }
    return invalidRequest(`Received unknown parameter: ${param}`, {
      code: 'parameter_unknown',
      param,
    });
  }
  const param = paramName(issue.path);
  const value = valueAt(tree, issue.path);
  if (value === undefined) {
    return invalidRequest(`Missing required param: ${param}.`, {
      code: 'parameter_missing',
      param,
    });
  }
  if (issue.code === 'custom' && typeof issue.params?.code === 'string') {
    return invalidRequest(issue.message, { code: issue.params.code, param });
  }
  return invalidRequest(`Invalid ${param}: ${issue.message}`, { param });
}

/** Checks decoded parameters; the first problem is raised as Stripe's 400. */
export function checkParams<S extends z.ZodType>(schema: S, tree: ParamTree): z.infer<S> {
  const result = schema.safeParse(tree);
  if (result.success) return result.data;
  const unknownKey = result.error.issues.find((issue) => issue.code === 'unrecognized_keys');
  const issue = unknownKey ?? result.error.issues[0];
  throw issue ? toApiError(issue, tree) : invalidRequest('Invalid request.');
}

/** A whole number written in decimal digits. */
export const integer = z.string().transform((text, context) => {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  context.addIssue({
    code: 'custom',
    message: `Invalid integer: ${text}`,
    params: { code: 'parameter_invalid_integer' },
  });
  return z.NEVER;
});

export const boolean = z.enum(['true', 'false']).transform((text) => text === 'true');

/** A string that must not be empty, as ids are. */
export const nonEmpty = z.string().superRefine((text, context) => {
  if (text !== '') return;
  context.addIssue({
    code: 'custom',
    message:
      'You passed an empty string. We assume empty values are an attempt to unset a parameter; however it cannot be unset. You should remove it from your request or supply a non-empty value.',
    params: { code: 'parameter_invalid_empty' },
  });
});

/** An empty string unsets the field. */
export const unsettable = z.string().transform((text) => (text === '' ? null : text));

/** Up to 50 keys; an empty value removes the key, an empty string removes them all. */
export const metadata = z.union([z.literal(''), z.record(z.string().max(40), z.string().max(500))]);

/** Applies `metadata` as Stripe does: keys given are set or removed, others stay. */
export function mergeMetadata(
  current: Record<string, string>,
  change: z.infer<typeof metadata> | undefined,
): Record<string, string> {
  if (change === undefined) return current;
  if (change === '') return {};
  const merged = { ...current, ...change };
  const kept = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== ''));
  if (Object.keys(kept).length > 50) {
    throw invalidRequest('You can specify up to 50 metadata keys.', { param: 'metadata' });
  }
  return kept;
}

export const address = z.strictObject({
  city: unsettable.optional(),
  country: unsettable.optional(),
  line1: unsettable.optional(),
  line2: unsettable.optional(),
  postal_code: unsettable.optional(),
  state: unsettable.optional(),
});
