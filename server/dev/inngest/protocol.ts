import { z } from 'zod';

/** Limits of Inngest that an application should meet in development first. */
export const EVENTS_PER_REQUEST = 5_000;
export const EVENT_BYTES = 256 * 1024;
export const STEP_OUTPUT_BYTES = 4 * 1024 * 1024;
export const STEPS_PER_RUN = 1_000;
export const EVENT_MEMORY_MS = 24 * 3_600_000;

/** The step id by which the SDK runs the function itself, to find what comes next. */
export const DISCOVERY = 'step';

const eventInput = z.looseObject({
  id: z.string().nullish(),
  name: z.string().min(1),
  data: z.record(z.string(), z.unknown()).nullish(),
  ts: z.number().int().nullish(),
  v: z.string().nullish(),
});

/** What a client may send to `POST /e/:key`: one event or a list. */
export const eventsInput = z.union([eventInput.transform((event) => [event]), z.array(eventInput)]);

/** An event as functions receive it. */
export interface InngestEvent {
  id: string;
  name: string;
  data: Record<string, unknown>;
  /** Milliseconds since the epoch; for a cron, when it was due. */
  ts: number;
  v?: string | undefined;
  [other: string]: unknown;
}

export interface StepFailure {
  name: string;
  message: string;
  stack?: string | undefined;
}

/** The memory of one step, as it is handed to the SDK under the step's hashed id. */
export type StepState = { type: 'data'; data: unknown } | { type: 'error'; error: StepFailure };

/** What the SDK reports about one step; `op` is one of the SDK's `StepOpCode`. */
export const stepOp = z.looseObject({
  id: z.string().min(1),
  op: z.string().min(1),
  name: z.string().nullish(),
  displayName: z.string().nullish(),
  data: z.unknown().optional(),
  error: z.unknown().optional(),
  opts: z.record(z.string(), z.unknown()).nullish(),
});
export type StepOp = z.infer<typeof stepOp>;

/** The body of `POST /v1/checkpoint/:runId/async`: steps that ran within one request so far. */
export const checkpointInput = z.looseObject({ qi_id: z.string(), steps: z.array(stepOp) });

const failure = z.looseObject({
  name: z.string().min(1).catch('Error'),
  message: z.string().optional().catch(undefined),
  error: z.string().optional().catch(undefined),
  stack: z.string().optional().catch(undefined),
});

/** Reads an error out of whatever the SDK, or something in front of it, has answered. */
export function failureOf(value: unknown): StepFailure {
  const parsed = failure.safeParse(value);
  if (!parsed.success) return { name: 'Error', message: String(value).slice(0, 500) };
  const { name, message, error, stack } = parsed.data;
  return { name, message: message ?? error ?? 'unknown error', stack };
}

/** The error of a run that asks for what only the official server can do. */
export function unsupported(what: string): StepFailure {
  return {
    name: 'UnsupportedError',
    message: `${what} is not supported by the development runner; use the official dev server`,
  };
}
