/** The cards that a user has saved at Stripe: added, named, put in order and removed. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Fault } from '../../faults.ts';
import {
  moveSavedCard,
  nameSavedCard,
  removeSavedCard,
  savedCards,
  startCardSetup,
} from '../../store/saved-cards.ts';
import type { Sql } from '../../store/sql.ts';
import { findStripeCustomer } from '../../store/top-ups.ts';
import type { StripeGateway } from '../../stripe/gateway.ts';
import type { CardChange, CardServices } from '../../views/cards.ts';
import { createCustomerOf } from '../top-ups/stripe-customers.ts';
import { cardExpiry } from './card-expiry.ts';
import { readCards } from './card-reading.ts';

/** A page waits no longer for Stripe than this, and shows what is known without it. */
const PAGE_PATIENCE_MS = 4_000;
const MAX_NAME_LENGTH = 40;
/** Ten digits, however they are set apart: a card's number has at least twelve. */
const LIKE_A_CARD_NUMBER = /(?:\d[^\da-zA-Z]*){10}/;

const OK: CardChange = { ok: true };
const NOT_FOUND: CardChange = {
  ok: false,
  code: 'NOT_FOUND',
  message: 'This card is not there any more.',
};

export function createPaymentMethods(options: {
  sql: Sql;
  gateway: StripeGateway;
  livemode: boolean;
  now: () => Date;
  logger: Logger;
}): CardServices {
  const { sql, gateway, livemode, now, logger } = options;
  const customerOf = createCustomerOf({ sql, gateway, livemode });
  const own = (userId: string, paymentMethodId: string) => ({ userId, livemode, paymentMethodId });

  /** What Stripe answers in time, or null. */
  async function inTime<T>(what: string, answer: Promise<T>): Promise<T | null> {
    const stopped = new AbortController();
    try {
      return await Promise.race([
        answer,
        sleep(PAGE_PATIENCE_MS, undefined, { signal: stopped.signal }).then(() => {
          throw new Error('Stripe took too long for a page');
        }),
      ]);
    } catch (err) {
      logger.warn({ err }, what);
      return null;
    } finally {
      stopped.abort();
    }
  }

  return {
    async list(userId) {
      const customerId = await findStripeCustomer(sql, userId, livemode);
      const read =
        customerId === null ||
        (await inTime('cards not read', readCards({ sql, gateway }, customerId))) !== null;
      const cards = await savedCards(sql, userId, livemode);
      const nowMs = now().getTime();
      return {
        isCurrent: read,
        cards: cards.map(({ paymentMethodId: id, brand, last4, expMonth, expYear, name }) => ({
          id,
          brand,
          last4,
          expMonth,
          expYear,
          name,
          expiry: cardExpiry({ expMonth, expYear }, nowMs),
        })),
      };
    },

    async startAdding({ userId, attemptKey }) {
      if (!/^[A-Za-z0-9_-]{8,100}$/.test(attemptKey)) {
        throw new Fault('BAD_REQUEST', {
          publicMessage: 'attemptKey: must be 8 to 100 letters, digits, dashes or underscores',
        });
      }
      try {
        const customerId = await customerOf(userId);
        const setup = await startCardSetup(sql, {
          setupId: randomUUID(),
          userId,
          livemode,
          attemptKey,
        });
        if (setup.code === 'THROTTLED') {
          return {
            ok: false,
            code: 'THROTTLED',
            message: 'Too many cards were tried in the last hour. Please try again later.',
          };
        }
        if (setup.code !== 'OK') {
          throw new Error('the customer was deleted just now');
        }
        const { clientSecret } = await gateway.createSetupIntent({
          customerId,
          idempotencyKey: `card_setup_${setup.setupId}`,
        });
        return { ok: true, clientSecret };
      } catch (err) {
        logger.warn({ err }, 'setup intent not available');
        return {
          ok: false,
          code: 'PAYMENT_PROVIDER_UNAVAILABLE',
          message: 'Stripe cannot be reached, so no card was saved. Please try again.',
        };
      }
    },

    async rename(userId, paymentMethodId, text) {
      const name = text.replaceAll(/[\s\p{C}]+/gu, ' ').trim();
      if (name.length > MAX_NAME_LENGTH || LIKE_A_CARD_NUMBER.test(name)) {
        return {
          ok: false,
          code: 'INVALID_NAME',
          message:
            name.length > MAX_NAME_LENGTH
              ? `The name may have ${MAX_NAME_LENGTH} characters at the most.`
              : 'Please do not enter a card number as the name.',
        };
      }
      const card = own(userId, paymentMethodId);
      const found = await nameSavedCard(sql, { ...card, name: name === '' ? null : name });
      return found ? OK : NOT_FOUND;
    },

    async move(userId, paymentMethodId, position) {
      const card = own(userId, paymentMethodId);
      return (await moveSavedCard(sql, { ...card, position })) ? OK : NOT_FOUND;
    },

    async remove(userId, paymentMethodId) {
      const isThere = async () =>
        (await savedCards(sql, userId, livemode)).some(
          (card) => card.paymentMethodId === paymentMethodId,
        );
      const customerId = await findStripeCustomer(sql, userId, livemode);
      if (customerId === null || !(await isThere())) {
        return NOT_FOUND;
      }
      // The last card may go while automatic top-up is on: that pauses with it, in the database.
      try {
        await gateway.detachCard(paymentMethodId);
      } catch (err) {
        // The answer may have been lost after the removal, and somebody may have been faster: only
        // Stripe's list tells.
        logger.warn({ err }, 'card not removed');
        const read = await inTime('cards not read', readCards({ sql, gateway }, customerId));
        if (read === null || (await isThere())) {
          return {
            ok: false,
            code: 'PAYMENT_PROVIDER_UNAVAILABLE',
            message: 'Stripe did not remove the card. It is still saved: please try again.',
          };
        }
        return OK;
      }
      await removeSavedCard(sql, own(userId, paymentMethodId));
      return OK;
    },

    async session(userId) {
      const open = async () => gateway.createCustomerSession(await customerOf(userId));
      const session = open().catch(async (error: unknown) => {
        // A customer deleted at Stripe, of which no event told, is replaced by a new one.
        const customerId = await customerOf(userId);
        if ((await readCards({ sql, gateway }, customerId)) !== 'customer deleted') throw error;
        return open();
      });
      return (await inTime('saved cards not offered', session))?.clientSecret ?? null;
    },
  };
}
