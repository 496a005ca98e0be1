import { z } from 'zod';
import { nextFire } from './cron.ts';
import type { InngestEvent } from './protocol.ts';

export type Trigger =
  | { kind: 'event'; name: string; failureOf: string | null }
  | { kind: 'cron'; expression: string };

export interface ConcurrencyLimit {
  limit: number;
  /** Path into the event, such as `data.walletId`; null when the function has one limit in all. */
  keyPath: string | null;
}

export interface FunctionConfig {
  id: string;
  name: string;
  triggers: Trigger[];
  /** Attempts after the first. */
  retries: number;
  limits: ConcurrencyLimit[];
}

/** Inngest's server retries three times where the function does not say. */
const DEFAULT_RETRIES = 3;

const limit = z.strictObject({
  limit: z.number().int().positive(),
  key: z
    .string()
    .regex(/^event(\.\w+)+$/, 'a concurrency key can only be a path such as event.data.walletId')
    .optional(),
  scope: z.literal('fn', 'only the concurrency scope "fn" is supported').optional(),
});

/** A number, a limit or a list of them: the SDK passes on what it was given. */
const limits = z.preprocess(
  (given) =>
    given === undefined
      ? []
      : [given].flat().map((each) => (typeof each === 'number' ? { limit: each } : each)),
  z.array(limit),
);

const trigger = z.strictObject({
  event: z
    .string()
    .regex(/^[^*]+$/, 'event names with * are not supported')
    .optional(),
  expression: z.string().optional(),
  cron: z.string().optional(),
});

/** Whatever is not listed here changes how a function runs, so it is refused and never ignored. */
const functionInput = z.strictObject({
  id: z.string().min(1),
  name: z.string().optional(),
  triggers: z.array(trigger),
  steps: z.record(
    z.string(),
    z.looseObject({
      retries: z.looseObject({ attempts: z.number().int().nonnegative().optional() }).optional(),
    }),
  ),
  concurrency: limits,
});

const registrationInput = z.looseObject({
  functions: z.array(z.looseObject({ id: z.string().min(1) })),
});

/** The only trigger expression that is supported: the SDK writes it for `onFailure`. */
const FAILURE_EXPRESSION = /^event\.data\.function_id == '([^']+)'$/;

/** What the runner supports, for messages. */
export const SUPPORTED =
  'event triggers without `if`, cron triggers, retries, onFailure and concurrency (scope fn)';

/**
 * Reads the body that the SDK posts to `/fn/register`. Either all functions are taken or none, with
 * every problem named.
 */
export function parseRegistration(
  body: unknown,
): { ok: true; functions: FunctionConfig[] } | { ok: false; problems: string[] } {
  const registration = registrationInput.safeParse(body);
  if (!registration.success) {
    return { ok: false, problems: [z.prettifyError(registration.error)] };
  }
  const functions: FunctionConfig[] = [];
  const problems: string[] = [];
  for (const input of registration.data.functions) {
    const parsed = functionInput.safeParse(input);
    if (!parsed.success) {
      problems.push(`${input.id}: ${z.prettifyError(parsed.error)}`);
      continue;
    }
    const triggers: Trigger[] = [];
    for (const each of parsed.data.triggers) {
      const result = parseTrigger(each);
      if (typeof result === 'string') problems.push(`${input.id}: ${result}`);
      else triggers.push(result);
    }
    const [step] = Object.values(parsed.data.steps);
    functions.push({
      id: parsed.data.id,
      name: parsed.data.name ?? parsed.data.id,
      triggers,
      retries: step?.retries?.attempts ?? DEFAULT_RETRIES,
      limits: parsed.data.concurrency.map((each) => ({
        limit: each.limit,
        keyPath: each.key?.slice('event.'.length) ?? null,
      })),
    });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, functions };
}

/** The trigger, or what is wrong with it. */
function parseTrigger({ event, expression, cron }: z.infer<typeof trigger>): Trigger | string {
  if (cron !== undefined) {
    try {
      nextFire(cron, 0);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return { kind: 'cron', expression: cron };
  }
  if (event === undefined) return 'a trigger is neither an event nor a cron';
  if (expression === undefined) return { kind: 'event', name: event, failureOf: null };
  const failed = FAILURE_EXPRESSION.exec(expression)?.[1];
  if (!failed) return `the trigger expression "${expression}" is not supported`;
  return { kind: 'event', name: event, failureOf: failed };
}

/** True when the function is to run for this event. */
export function isTriggeredBy(fn: FunctionConfig, event: InngestEvent): boolean {
  return fn.triggers.some(
    (each) =>
      each.kind === 'event' &&
      each.name === event.name &&
      (each.failureOf === null || each.failureOf === event.data.function_id),
  );
}

/** The value at a dotted path of an event, such as `data.walletId`. */
export function valueAt(event: InngestEvent, path: string): unknown {
  let value: unknown = event;
  for (const part of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}
