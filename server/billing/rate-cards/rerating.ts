/**
 * Re-rating: usage of a past span is priced again by another card, and each difference is posted
 * once, linked to what was billed. docs/rate-cards.md tells what becomes of refunds and of usage that
 * should have cost more.
 */
import { reratingDue } from '../../rating/rerating.ts';
import {
  beginRerating,
  postDifferences,
  type Repriced,
  type ReratingTerms,
} from '../../store/reratings.ts';
import type { Sql } from '../../store/sql.ts';
import type { CustomerChange, ReratingProgress, Totals } from '../../views/repricing.ts';
import type { RateCards } from './rate-cards.ts';
import { customerChanges, type RepricedUsage, repricedPages, totalsOf } from './repricing.ts';

export type ReratingAnswer =
  | { ok: true; progress: ReratingProgress; finished: boolean }
  /** No such published card, or another re-rating has this id. */
  | { ok: false; code: 'NOT_FOUND' | 'KEY_REUSED'; message: string };

export interface Rerating {
  /** What a re-rating would post; null when there is no such published card. Writes nothing. */
  preview(
    terms: Omit<ReratingTerms, 'id' | 'reason'>,
    onCustomer?: (change: CustomerChange) => boolean | Promise<boolean>,
  ): Promise<Totals | null>;
  /**
   * Posts the differences; run again, or after it was killed, under the same id it goes on with what
   * is not done. `onProgress` is told after each page; when it answers false, the run stops there.
   */
  run(
    terms: ReratingTerms,
    actor: string,
    onProgress?: (progress: ReratingProgress) => boolean | Promise<boolean>,
  ): Promise<ReratingAnswer>;
}

export function createRerating(options: { sql: Sql; rateCards: RateCards }): Rerating {
  const { sql, rateCards } = options;

  /** What was due for each usage of the page is posted, in one statement. */
  async function post(
    page: readonly RepricedUsage[],
    terms: ReratingTerms,
    actor: string,
    progress: ReratingProgress,
  ): Promise<void> {
    const due: Repriced[] = [];
    for (const { billed, price } of page) {
      progress.usages += 1;
      if (price === null) {
        progress.withoutRate += 1;
      } else if (isPosted(reratingDue(price.micros, billed), terms.debits)) {
        const { walletId, seq, billedMicros } = billed;
        const { micros: priceMicros, breakdown } = price;
        due.push({ walletId, seq, billedMicros, priceMicros, breakdown });
      }
    }
    const posted = due.length === 0 ? [] : await postDifferences(sql, terms.id, due, actor);
    for (const { code, postedMicros } of posted) {
      if (code !== 'OK') {
        progress.refused[code] = (progress.refused[code] ?? 0) + 1;
      } else if (postedMicros < 0n) {
        progress.credits += 1;
        progress.creditedMicros -= postedMicros;
      } else if (postedMicros > 0n) {
        progress.debits += 1;
        progress.debitedMicros += postedMicros;
      }
    }
  }

  return {
    async preview({ cardId, from, to, debits }, onCustomer = () => true) {
      const card = await rateCards.byId(cardId);
      if (card === null) {
        return null;
      }
      const changes = customerChanges(
        repricedPages(options, card, { from, to }),
        (billed, priceMicros) => {
          const before = billed.billedMicros - billed.refundedMicros + billed.correctedMicros;
          const dueMicros = reratingDue(priceMicros, billed);
          return { before, after: before + (isPosted(dueMicros, debits) ? dueMicros : 0n) };
        },
      );
      return totalsOf(changes, onCustomer);
    },

    async run(terms, actor, onProgress = () => true) {
      const code = await beginRerating(sql, terms, actor);
      const card = await rateCards.byId(terms.cardId);
      if (code !== 'OK' || card === null) {
        return code === 'KEY_REUSED'
          ? { ok: false, code, message: 'this id belongs to another re-rating' }
          : { ok: false, code: 'NOT_FOUND', message: 'there is no such published card' };
      }
      const progress: ReratingProgress = {
        usages: 0,
        credits: 0,
        creditedMicros: 0n,
        debits: 0,
        debitedMicros: 0n,
        withoutRate: 0,
        refused: {},
      };
      for await (const page of repricedPages(options, card, terms)) {
        await post(page, terms, actor, progress);
        if (!(await onProgress(progress))) {
          return { ok: true, progress, finished: false };
        }
      }
      return { ok: true, progress, finished: true };
    },
  };
}

function isPosted(dueMicros: bigint, debits: boolean): boolean {
  return dueMicros < 0n || (debits && dueMicros > 0n);
}
