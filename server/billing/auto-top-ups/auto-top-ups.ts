/** Automatic top-ups as their users see and set them. Charges are made by `auto-top-up-charging`. */
import { Fault } from '../../faults.ts';
import {
  type AutoTopUpCharge,
  findAutoTopUp,
  findAutoTopUpCharge,
  listAutoTopUpAttempts,
  pauseAutoTopUp,
  renewRecoveryLink,
  resumeAutoTopUp,
  type SetAutoTopUpRefusal,
  type StoredAutoTopUp,
  setAutoTopUp,
  spendRecoveryLink,
} from '../../store/auto-top-ups.ts';
import { savedCards } from '../../store/saved-cards.ts';
import type { Sql } from '../../store/sql.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type {
  AutoTopUpServices,
  AutoTopUpView,
  RecoveryView,
  SaveAutoTopUp,
} from '../../views/auto-top-ups.ts';
import type { TopUpLimits } from '../../views/top-ups.ts';
import type { Wallets } from '../wallets/wallets.ts';
import { CONSENT } from './auto-top-up-rules.ts';
import { readTerms, stepMicros } from './auto-top-up-terms.ts';
import type { RecoveryLinks } from './recovery-links.ts';

const SHOWN_ATTEMPTS = 10;

export type AutoTopUps = AutoTopUpServices;

export function createAutoTopUps(options: {
  sql: Sql;
  wallets: Wallets;
  gateway: StripeGateway;
  links: RecoveryLinks;
  limits: (currency: string) => TopUpLimits;
  livemode: boolean;
}): AutoTopUps {
  const { sql, wallets, gateway, links, limits: limitsOf, livemode } = options;

  return {
    async get(userId): Promise<AutoTopUpView> {
      const wallet = await wallets.ofUser(userId);
      const [stored, attempts, cards] = await Promise.all([
        findAutoTopUp(sql, wallet.walletId),
        listAutoTopUpAttempts(sql, wallet.walletId, SHOWN_ATTEMPTS),
        savedCards(sql, userId, livemode),
      ]);
      return {
        currency: wallet.currency,
        timezone: wallet.timezone,
        consent: CONSENT,
        limits: limitsOf(wallet.currency),
        hasCard: cards.length > 0,
        settings: stored === null ? null : viewOf(stored),
        attempts,
      };
    },

    async save(input) {
      const wallet = await wallets.ofUser(input.userId);
      const limits = limitsOf(wallet.currency);
      const read = readTerms(input, limits);
      const { consentVersion } = input;
      if (!read.ok || consentVersion !== CONSENT.version) {
        const consent = 'Agree to the automatic charges to turn them on.';
        const problems = read.ok ? {} : read.problems;
        const isAgreed = consentVersion === CONSENT.version;
        return { ok: false, problems: isAgreed ? problems : { ...problems, consent } };
      }
      const code = await setAutoTopUp(sql, {
        walletId: wallet.walletId,
        livemode,
        ...read.terms,
        mode: input.mode,
        minChargeMicros: limits.minMicros,
        maxChargeMicros: limits.maxMicros,
        chargeStepMicros: stepMicros(limits.exponent),
        consentVersion,
        actor: `user:${input.userId}`,
      });
      return code === 'OK' ? { ok: true } : refused(code);
    },

    async turnOff(userId) {
      const { walletId } = await wallets.ofUser(userId);
      await pauseAutoTopUp(sql, { walletId, reason: 'user', actor: `user:${userId}` });
    },

    async resume(userId) {
      const { walletId } = await wallets.ofUser(userId);
      const code = await resumeAutoTopUp(sql, {
        walletId,
        actor: `user:${userId}`,
        bySupport: false,
      });
      if (code === 'OK') {
        return { ok: true };
      }
      return code === 'OFF' ? wrong('Automatic top-up is off.') : refused(code);
    },

    async renewRecovery(userId) {
      const { walletId } = await wallets.ofUser(userId);
      const link = await renewRecoveryLink(sql, walletId);
      return link === null ? null : links.sign(link);
    },

    async findRecovery(token): Promise<RecoveryView | null> {
      const named = links.read(token);
      const charge = named && (await findAutoTopUpCharge(sql, named.topUpId));
      if (named === null || charge === null) {
        return null;
      }
      return {
        topUpId: charge.topUpId,
        state: recoveryState(charge, named.no),
        currency: charge.currency,
        amountMicros: charge.amountMicros,
        card: { brand: charge.brand, last4: charge.last4 },
      };
    },

    async startRecovery(token) {
      const named = links.read(token);
      if (named === null) {
        return { ok: false, message: 'This link is not one of ours.' };
      }
      // Read first: a link is not used up while Stripe does not answer.
      const charge = await findAutoTopUpCharge(sql, named.topUpId);
      const intent =
        charge?.paymentIntentId && charge.state === 'awaiting_user'
          ? await gateway.retrieveIntent(charge.paymentIntentId).catch((cause: unknown) => {
              throw new Fault('PAYMENT_PROVIDER_UNAVAILABLE', { cause });
            })
          : null;
      const used = await spendRecoveryLink(sql, named.topUpId, named.no);
      if (used.code !== 'OK' || intent === null) {
        return { ok: false, message: LINK_PROBLEMS[used.code === 'OK' ? 'OVER' : used.code] };
      }
      return { ok: true, clientSecret: intent.clientSecret, paymentMethodId: used.paymentMethodId };
    },
  };
}

const LINK_PROBLEMS = {
  OVER: 'This payment does not wait for you any more.',
  USED: 'This link was used already. Open a new one from your automatic top-up.',
  EXPIRED: 'This link has expired. Open a new one from your automatic top-up.',
} as const;

function recoveryState(charge: AutoTopUpCharge, no: number): RecoveryView['state'] {
  if (charge.state === 'succeeded') {
    return 'paid';
  }
  if (charge.state !== 'awaiting_user') {
    return 'over';
  }
  if (charge.recoveryNo !== no || charge.recoveryUsed) {
    return 'used';
  }
  return charge.recoveryExpired ? 'expired' : 'open';
}

function viewOf(stored: StoredAutoTopUp): NonNullable<AutoTopUpView['settings']> {
  const { reasonDetail, ...rest } = stored;
  const { prefix, charges, amountMicros } = reasonDetail;
  const isBurst =
    stored.reason === 'velocity' &&
    typeof prefix === 'string' &&
    typeof charges === 'number' &&
    typeof amountMicros === 'string';
  return {
    ...rest,
    burst: isBurst ? { prefix, charges, amountMicros: BigInt(amountMicros) } : null,
  };
}

function refused(code: SetAutoTopUpRefusal): Extract<SaveAutoTopUp, { ok: false }> {
  switch (code) {
    case 'NO_CARD':
      return wrong('Save a card first that has not run out and was not refused for good.');
    case 'WALLET_FROZEN':
      return wrong('This wallet is frozen. Please contact support.');
    case 'WALLET_CLOSED':
      return wrong('This wallet is closed.');
    case 'NEEDS_SUPPORT':
      return wrong('A payment is being looked into. Please contact support.');
    case 'WALLET_NOT_FOUND':
      throw new Fault('WALLET_NOT_FOUND');
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown refusal ${unknown}`);
    }
  }
}

function wrong(message: string): Extract<SaveAutoTopUp, { ok: false }> {
  return { ok: false, message, problems: {} };
}
