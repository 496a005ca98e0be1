/** Rehearsals and re-ratings on the pages, which wait for them only so long. */

import { formatMicros } from '../../ledger/money.ts';
import { joinCsvLine } from '../../rating/csv-line.ts';
import type { CustomerChange, RepricingDesk, Totals } from '../../views/repricing.ts';
import type { Rehearsing } from './rehearsing.ts';
import type { Rerating } from './rerating.ts';

const PATIENCE_MS = 10_000;

export function createRepricingDesk(options: {
  rehearsing: Rehearsing;
  rerating: Rerating;
  nowMs: () => number;
}): RepricingDesk {
  const { rehearsing, rerating, nowMs } = options;

  /** Whether there is time to go on, and whether there was to the end. */
  function patience() {
    const endsAtMs = nowMs() + PATIENCE_MS;
    let finished = true;
    return {
      goOn: () => {
        finished = nowMs() < endsAtMs;
        return finished;
      },
      isFinished: () => finished,
    };
  }

  async function patiently(
    calculate: (goOn: () => boolean) => Promise<Totals | null>,
  ): Promise<{ totals: Totals; finished: boolean } | null> {
    const { goOn, isFinished } = patience();
    const totals = await calculate(goOn);
    return totals && { totals, finished: isFinished() };
  }

  return {
    rehearse: (cardId, span) => patiently((goOn) => rehearsing.rehearse({ cardId, ...span }, goOn)),

    async rehearsalCsv(cardId, span) {
      const changes = await rehearsing.changes({ cardId, ...span });
      return changes && csvOf(changes);
    },

    preview: (cardId, span, debits) =>
      patiently((goOn) => rerating.preview({ cardId, ...span, debits }, goOn)),

    rerate: (terms, actor) => rerating.run(terms, actor, patience().goOn),
  };
}

async function* csvOf(changes: AsyncIterable<CustomerChange>): AsyncGenerator<string> {
  yield 'user_id,wallet_id,usages,before,after,difference,without_rate,without_rate_billed\n';
  for await (const change of changes) {
    const { userId, walletId, usages, beforeMicros, afterMicros, withoutRate } = change;
    const amounts = [beforeMicros, afterMicros, afterMicros - beforeMicros];
    const fields = [
      userId,
      walletId,
      `${usages}`,
      ...amounts.map((micros) => formatMicros(micros, 0)),
    ];
    const without = [`${withoutRate}`, formatMicros(change.withoutRateMicros, 0)];
    yield `${joinCsvLine([...fields, ...without])}\n`;
  }
}
