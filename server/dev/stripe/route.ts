import type { z } from 'zod';
import type { Call } from './call.ts';
import { ApiError } from './errors.ts';
import { checkParams, type ParamTree } from './params.ts';

/** Who may call a route: only the secret key, or a browser's publishable key as well. */
export type Access = 'secret' | 'publishable';

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  pattern: RegExp;
  access: Access;
  /** Checks the parameters and returns what carries the call out; `id` is the one in the path. */
  prepare(tree: ParamTree): (call: Call, id: string) => object;
}

/** A route of `path`, in which `:id` stands for an object's id. */
export function route<S extends z.ZodType>(
  method: Route['method'],
  path: string,
  schema: S,
  handle: (call: Call, params: z.infer<S>, id: string) => object,
  access: Access = 'secret',
): Route {
  return {
    method,
    pattern: new RegExp(`^${path.replace(':id', '([A-Za-z0-9_]+)')}$`),
    access,
    prepare: (tree) => {
      const params = checkParams(schema, tree);
      return (call, id) => handle(call, params, id);
    },
  };
}

/**
 * What a publishable key needs to touch an intent is the intent's client secret; a secret key
 * needs none, but a wrong one is refused.
 */
export function checkClientSecret(
  call: Call,
  intent: { object: string; client_secret: string | null },
  clientSecret: string | undefined,
): void {
  if (call.caller === 'secret' && clientSecret === undefined) return;
  if (clientSecret !== undefined && clientSecret === intent.client_secret) return;
  const what = intent.object === 'payment_intent' ? 'PaymentIntent' : 'SetupIntent';
  throw new ApiError(
    clientSecret === undefined ? 401 : 400,
    'invalid_request_error',
    clientSecret === undefined
      ? `A publishable key may only be used with the client_secret of this ${what}.`
      : `The client_secret provided does not match the client_secret associated with the ${what}.`,
    { code: clientSecret === undefined ? 'secret_key_required' : 'resource_missing' },
  );
}
