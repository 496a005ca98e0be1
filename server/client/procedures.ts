/** The procedures of the service as the client offers them, with their options and answers. */
import type { TRPCClient } from '@trpc/client';
import type { AppRouter } from '../trpc/router.ts';
import type { Call, CallOptions } from './calls.ts';

type Router = TRPCClient<AppRouter>;

type WithOptions<Procedure> = {
  [Verb in keyof Procedure]: Procedure[Verb] extends (
    input: infer Input,
    ...rest: never
  ) => infer Answer
    ? (input: Input, options?: CallOptions) => Answer
    : never;
};

/** Every procedure, as `client.usage.charge.mutate(input, options)`. */
export type Procedures = {
  [Name in keyof Router]: {
    [Procedure in keyof Router[Name]]: WithOptions<Router[Name][Procedure]>;
  };
};

type Input<Procedure extends (input: never) => unknown> = Parameters<Procedure>[0];
type Answer<Procedure extends (input: never) => unknown> = Awaited<ReturnType<Procedure>>;

/*
 * Each answer is a union on `ok` and, where that is false, on `code`: a `switch` over the codes may
 * end in `never`.
 */
export type ChargeInput = Input<Procedures['usage']['charge']['mutate']>;
export type ChargeAnswer = Answer<Procedures['usage']['charge']['mutate']>;
export type RefundAnswer = Answer<Procedures['usage']['refund']['mutate']>;
export type QuoteAnswer = Answer<Procedures['usage']['quote']['query']>;
export type AuthorizeAnswer = Answer<Procedures['holds']['authorize']['mutate']>;
export type ExtendAnswer = Answer<Procedures['holds']['extend']['mutate']>;
export type CaptureInput = Input<Procedures['holds']['capture']['mutate']>;
export type CaptureAnswer = Answer<Procedures['holds']['capture']['mutate']>;
export type VoidInput = Input<Procedures['holds']['void']['mutate']>;
export type VoidAnswer = Answer<Procedures['holds']['void']['mutate']>;
export type StatusAnswer = Answer<Procedures['wallets']['close']['mutate']>;
export type SetLimitsAnswer = Answer<Procedures['wallets']['setLimits']['mutate']>;
export type RefundTopUpsAnswer = Answer<Procedures['wallets']['refundTopUps']['mutate']>;
export type AddSubscriptionAnswer = Answer<Procedures['subscriptions']['add']['mutate']>;
export type GrantAnswer = Answer<Procedures['wallets']['grant']['mutate']>;

type MutationPath = {
  [Name in keyof Router & string]: {
    [Procedure in keyof Router[Name] & string]: Router[Name][Procedure] extends { mutate: unknown }
      ? `${Name}.${Procedure}`
      : never;
  }[keyof Router[Name] & string];
}[keyof Router & string];

/**
 * Which writes the service does once, however often they come: those that carry a key or name what
 * they change. Whoever adds a procedure decides here.
 */
const REPEATABLE: Readonly<Record<MutationPath, boolean>> = {
  'wallets.open': true,
  'wallets.grant': true,
  'wallets.refundTopUps': true,
  'wallets.freeze': true,
  'wallets.unfreeze': true,
  'wallets.close': true,
  'wallets.setLimits': true,
  'wallets.resumeAutoTopUp': true,
  'subscriptions.add': true,
  'subscriptions.end': true,
  'usage.charge': true,
  'usage.chargeBatch': true,
  'usage.refund': true,
  'holds.authorize': true,
  'holds.extend': true,
  'holds.capture': true,
  'holds.void': true,
  'rateCards.createDraft': true,
  'rateCards.describeDraft': true,
  'rateCards.putRules': true,
  'rateCards.importCsv': true,
  'rateCards.publishDraft': true,
  'rateCards.discardDraft': true,
  // A second one is refused: its version is taken, by the first.
  'rateCards.publish': false,
};

/** Whether a write may be sent again when nothing is known of the first time. */
export function isRepeatable(path: string): boolean {
  return Object.hasOwn(REPEATABLE, path) && REPEATABLE[path as MutationPath];
}

/** The procedures over `call`. Their names are in types alone, so any name is taken here. */
export function proceduresOver(call: Call): Procedures {
  const routerNamed = (router: string) =>
    new Proxy(
      {},
      {
        get: (_target, procedure) => {
          const path = `${router}.${String(procedure)}`;
          return {
            query: (input?: unknown, options?: CallOptions) => call('query', path, input, options),
            mutate: (input?: unknown, options?: CallOptions) =>
              call('mutation', path, input, options),
          };
        },
      },
    );
  return new Proxy({}, { get: (_target, router) => routerNamed(String(router)) }) as Procedures;
}
