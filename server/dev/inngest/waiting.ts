import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { InngestEvent, StepOp } from './protocol.ts';
import { valueAt } from './registration.ts';

/** The form that the SDK gives to `waitForEvent`'s `match`: the same path in both events. */
const MATCH_EXPRESSION = /^event\.([\w.]+) == async\.\1$/;

/**
 * Tells which event a `step.waitForEvent` waits for, in a run that `trigger` started; null when it
 * has an `if` expression, which would need a CEL interpreter.
 */
export function eventMatcher(
  op: StepOp,
  trigger: InngestEvent,
): ((event: InngestEvent) => boolean) | null {
  const expression = op.opts?.if;
  if (expression === undefined) return (event) => event.name === op.name;
  const path = MATCH_EXPRESSION.exec(String(expression))?.[1];
  if (path === undefined) return null;
  return (event) => event.name === op.name && valueAt(event, path) === valueAt(trigger, path);
}

const invokeOptions = z.looseObject({
  function_id: z.string(),
  payload: z.looseObject({ data: z.record(z.string(), z.unknown()).nullish() }).nullish(),
  timeout: z.string().nullish(),
});

/** How long a run waits for one that it invoked, where it does not say: Inngest's own limit. */
const INVOKE_TIMEOUT = '365d';

/** What a `step.invoke` asks for. */
export function invocationOf(
  op: StepOp,
  nowMs: number,
): { functionId: string; timeout: string; event: InngestEvent } {
  const { function_id: functionId, payload, timeout } = invokeOptions.parse(op.opts);
  const event = {
    ...payload,
    id: randomUUID(),
    name: 'inngest/function.invoked',
    data: payload?.data ?? {},
    ts: nowMs,
  };
  return { functionId, timeout: timeout ?? INVOKE_TIMEOUT, event };
}
