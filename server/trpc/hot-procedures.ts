/** What services call for each call, message or page they carry; charge-listener.ts answers it. */
import { callDirectly, type ProcedureParts, type TrpcContext } from './context.ts';
import { HOLD_PROCEDURES } from './holds.ts';
import { CHARGE_PROCEDURES } from './usage.ts';

export interface HotProcedure {
  /** True when the database itself refuses a revoked key, so that the caller may come from memory. */
  readonly checksKey: boolean;
  /** Answers a call as the router would. Throws a `TRPCError`. */
  readonly call: (rawInput: () => unknown, context: TrpcContext) => Promise<unknown>;
}

function hot<Input extends Parameters<typeof callDirectly>[0]['input']>(
  parts: ProcedureParts<Input, unknown>,
  checksKey: boolean,
): HotProcedure {
  return { checksKey, call: (rawInput, context) => callDirectly(parts, rawInput, context) };
}

export const HOT_PROCEDURES: ReadonlyMap<string, HotProcedure> = new Map([
  ['usage.charge', hot(CHARGE_PROCEDURES.charge, true)],
  ['usage.chargeBatch', hot(CHARGE_PROCEDURES.chargeBatch, true)],
  ['holds.authorize', hot(HOLD_PROCEDURES.authorize, true)],
  ['holds.extend', hot(HOLD_PROCEDURES.extend, false)],
  ['holds.capture', hot(HOLD_PROCEDURES.capture, true)],
  ['holds.void', hot(HOLD_PROCEDURES.void, false)],
]);
