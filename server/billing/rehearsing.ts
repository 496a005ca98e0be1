/**
 * Rehearsing a rate card: a draft, or a published card, is run over usage of the past, and what each
 * customer would have paid is set beside what was billed. Nothing is written.
 */
import type { Sql } from '../store/sql.ts';
import type { RateCards } from './rate-cards.ts';
import {
  type CustomerChange,
  customerChanges,
  repricedPages,
  type Span,
  type Totals,
  totalsOf,
} from './repricing.ts';

export interface Rehearsing {
  /**
   * The totals of a rehearsal; null when there is no such card. Refunds are left out on both sides.
   * `onCustomer` gets each customer's change as soon as it is known; when it answers false, the
   * rehearsal stops there.
   */
  rehearse(
    rehearsal: Span & { cardId: string },
    onCustomer?: (change: CustomerChange) => boolean | Promise<boolean>,
  ): Promise<Totals | null>;
}

export function createRehearsing(options: { sql: Sql; rateCards: RateCards }): Rehearsing {
  const { rateCards } = options;
  return {
    async rehearse({ cardId, from, to }, onCustomer = () => true) {
      const card = await rateCards.anyById(cardId);
      if (card === null) {
        return null;
      }
      const changes = customerChanges(
        repricedPages(options, card, { from, to }),
        ({ billedMicros, correctedMicros }, priceMicros) => ({
          before: billedMicros + correctedMicros,
          after: priceMicros,
        }),
      );
      return totalsOf(changes, onCustomer);
    },
  };
}
