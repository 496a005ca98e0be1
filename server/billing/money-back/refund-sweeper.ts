/** Takes up refunds whose end at Stripe is not known, or not even whether Stripe has made them. */
import type { Logger } from 'pino';
import { claimPaymentRefunds } from '../../store/payment-refunds.ts';
import type { Sql } from '../../store/sql.ts';
import { type Background, everyInterval } from '../background.ts';
import type { RefundAsking } from './refund-asking.ts';

/** Refunds taken up at once: each waits for Stripe. */
const REFUNDS_AT_ONCE = 8;

/**
 * The money of such a refund is taken already, so it need not be quick. Any number of processes may
 * run it: who takes a refund up has it to itself until it is due again.
 */
export function createRefundSweeper(options: {
  sql: Sql;
  asking: RefundAsking;
  livemode: boolean;
  intervalMs: number;
  logger: Logger;
}): Background & {
  /** Takes up what is due; how many refunds that were. */
  tick(): Promise<number>;
} {
  const { sql, asking, livemode, intervalMs, logger } = options;

  async function tick(): Promise<number> {
    const due = await claimPaymentRefunds(sql, livemode, REFUNDS_AT_ONCE);
    await Promise.all(due.map((refund) => asking.askAgain(refund)));
    return due.length;
  }

  const polling = everyInterval(tick, intervalMs, (err) =>
    logger.warn({ err }, 'refunds not looked for'),
  );
  return {
    tick,
    start: polling.start,
    async stop() {
      await polling.stop();
      await asking.settled();
    },
  };
}
