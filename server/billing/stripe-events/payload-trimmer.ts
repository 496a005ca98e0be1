/** Takes out of stored webhooks what they told of people, once they are done. */
import type { Logger } from 'pino';
import type { Sql } from '../../store/sql.ts';
import { trimPayloads } from '../../store/stripe-inbox.ts';
import { type Background, everyInterval } from '../background.ts';

/** As long as Stripe itself lets one read an event. */
const PAYLOAD_DAYS = 30;
const DAY_MS = 86_400_000;
const BATCH = 500;

/**
 * Trims the payloads of events that were applied or ignored `PAYLOAD_DAYS` ago. The events stay, so
 * that a second delivery is still known, and can still be replayed: applying reads Stripe anew.
 */
export function createPayloadTrimmer(options: {
  sql: Sql;
  clock: () => Date;
  intervalMs: number;
  logger: Logger;
}): Background & { tick(): Promise<number> } {
  const { sql, clock, intervalMs, logger } = options;

  /** Returns how many it trimmed. */
  async function tick(): Promise<number> {
    const before = new Date(clock().getTime() - PAYLOAD_DAYS * DAY_MS);
    let trimmed = 0;
    for (;;) {
      const batch = await trimPayloads(sql, before, BATCH);
      trimmed += batch;
      if (batch < BATCH) return trimmed;
    }
  }

  return {
    tick,
    ...everyInterval(tick, intervalMs, (err) => logger.warn({ err }, 'payloads not trimmed')),
  };
}
