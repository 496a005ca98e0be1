import { BASE } from './base.js';

/**
 * `{a: {b: 1}}` → `[['a[b]', '1']]`, as the API takes parameters.
 *
 * @param {import('./types.ts').Params} params
 * @param {string} [prefix]
 * @returns {[string, string][]}
 */
export function flatten(params, prefix) {
  return Object.entries(params).flatMap(([key, value]) => {
    const name = prefix === undefined ? key : `${prefix}[${key}]`;
    if (value === undefined || value === null) return [];
    if (typeof value === 'object') return flatten(value, name);
    /** @type {[string, string][]} */
    const pair = [[name, String(value)]];
    return pair;
  });
}

/**
 * Calls the API with the publishable key. The answer is the object, or has an `error`; it never
 * rejects.
 *
 * @param {string} key
 * @param {'GET' | 'POST'} method
 * @param {string} path
 * @param {import('./types.ts').Params} params
 */
export async function request(key, method, path, params) {
  const form = new URLSearchParams(flatten(params));
  try {
    const response = await fetch(`${BASE}${path}${method === 'GET' ? `?${form}` : ''}`, {
      method,
      headers: { authorization: `Bearer ${key}` },
      ...(method === 'POST' ? { body: form } : {}),
    });
    return await response.json();
  } catch {
    return { error: { type: 'api_connection_error', message: 'Stripe could not be reached.' } };
  }
}
