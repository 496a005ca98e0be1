/**
 * One usage bills once, whichever door it came by: a hold that names the type of its usage has the key
 * of that usage, and so a charge of it finds the hold. The charge is the final word.
 */
import { answer, type Decision, recall } from './decision.ts';
import type { Detail, Keyed } from './events.ts';
import { linkOf } from './hold.ts';
import { requestHash, usageKey } from './key.ts';
import { heldUnder, keyAfterVoid } from './originals.ts';
import { answerOf, type OpenWallet } from './state.ts';

/**
 * Under which key a hold is placed. One that does not say its type keeps its own key, and so do those
 * that were placed before holds had that of their usage.
 */
export function holdKey(placing: {
  readonly key: string;
  readonly usageType: string | null;
  readonly referenceId: string;
}): string {
  const { key, usageType, referenceId } = placing;
  return usageType === null ? key : usageKey(usageType, referenceId);
}

/** Under which key a charge is written. What a voided hold did not bill, a charge bills after all. */
export function chargeKey(key: string, wallet: OpenWallet): string {
  const hold = heldUnder(key, wallet);
  return hold?.status === 'voided' ? keyAfterVoid(hold) : key;
}

/**
 * The answer to a charge that is known. Usage that its hold has billed is a replay, with the wallet as
 * it stands now. Other usage is KEY_REUSED, and so is all usage of an open hold: the detail says what
 * the hold is and has billed, and whoever charges may capture it instead.
 */
export function recallCharge(
  command: Keyed & { readonly detail: Detail },
  wallet: OpenWallet,
): Decision | undefined {
  const known = recall({ ...command, key: chargeKey(command.key, wallet) }, wallet);
  const hold = heldUnder(command.key, wallet);
  if (known?.outcome.code !== 'KEY_REUSED' || hold === undefined || hold.status === 'voided') {
    return known;
  }
  const { holdId, status, billedMicros, report } = hold;
  const detail = { ...linkOf(hold), status, billedMicros: billedMicros.toString(), ...report };
  const seq = wallet.originals.ends.get(holdId);
  if (seq === undefined || report === null || !isSameUsage(command.detail.usage, report.usage)) {
    return answer({ ...known.outcome, detail });
  }
  const numbers = answerOf(wallet, hold.amountSoFarMicros, detail);
  return answer({ code: 'OK', replayed: true, ...numbers, seq });
}

/** Who called is not billed, and not every door knows it. */
function isSameUsage(asked: unknown, billed: object): boolean {
  return (
    typeof asked === 'object' &&
    asked !== null &&
    requestHash({ ...asked, from: undefined }).equals(requestHash({ ...billed, from: undefined }))
  );
}
