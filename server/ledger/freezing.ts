/** Who keeps a wallet frozen when nobody froze it by hand. */
import type { OpenWallet } from './state.ts';

/** Whether disputes keep the wallet frozen, and nobody froze it by hand. */
export function isFrozenByDispute({ status, payments }: OpenWallet): boolean {
  return status === 'frozen' && [...payments.disputes.values()].some(({ freezes }) => freezes);
}

/** Whether arrears that were not paid in time keep the wallet frozen. */
export function isSuspended({ status, demand }: OpenWallet): boolean {
  return status === 'frozen' && demand?.suspends === true;
}
