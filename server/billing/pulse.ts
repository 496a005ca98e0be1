/**
 * Notices a database that stands still: connections are open, and nothing is answered. No query ends
 * by itself then, and what waits for one would wait for ever.
 *
 * One connection of its own asks the database every second. When that is unanswered for some
 * seconds, everything that waits is told to come back, and so is whatever comes until it answers.
 * What is slow while others are answered, such as an import, is left alone.
 */
import type { Logger } from 'pino';
import { Fault, UNAVAILABLE_RETRY_SECONDS } from '../faults.ts';
import { askForPulse } from '../store/pulse.ts';
import type { Sql } from '../store/sql.ts';
import { type Background, everyInterval } from './background.ts';

const INTERVAL_MS = 1_000;
/** As long as charges wait behind a batch that is stuck. */
const PATIENCE_MS = 5_000;

/**
 * Waits for work that needs the database, but not for a database that stands still: then it rejects
 * with `DATABASE_UNAVAILABLE`. The outcome is unknown, and the work goes on if the database does.
 */
export type Bound = <T>(work: () => Promise<T>) => Promise<T>;

export interface Pulse extends Background {
  readonly bound: Bound;
}

/** `open` makes a client of the database for this alone. */
export function createPulse(options: { open: () => Sql; logger: Logger }): Pulse {
  const { open, logger } = options;
  const waiting = new Set<(fault: Fault) => void>();
  let connection: Sql | null = null;
  let isStill = false;

  async function beat(): Promise<void> {
    connection ??= open();
    const answer = await answerOf(askForPulse(connection));
    if (answer !== 'answered') {
      // A new one: the server may have gone without a word, and this one would never hear of it.
      connection.end({ timeout: 0 }).catch(() => undefined);
      connection = null;
    }
    // Whoever asks a database that is down is told so at once; only silence keeps people waiting.
    setStill(answer === 'silent');
  }

  function setStill(now: boolean): void {
    if (now && !isStill) {
      logger.warn({ waiting: waiting.size }, 'the database stands still');
    } else if (isStill && !now) {
      logger.info('the database moves again');
    }
    isStill = now;
    if (now) {
      for (const refuse of waiting) {
        refuse(unavailable());
      }
      waiting.clear();
    }
  }

  const background = everyInterval(beat, INTERVAL_MS, (err) =>
    logger.warn({ err }, 'the pulse of the database was not taken'),
  );

  return {
    start: background.start,
    async stop() {
      await background.stop();
      await connection?.end({ timeout: 0 });
    },

    bound<T>(work: () => Promise<T>): Promise<T> {
      if (isStill) {
        return Promise.reject(unavailable());
      }
      return new Promise<T>((resolve, reject) => {
        waiting.add(reject);
        work().then(
          (value) => {
            waiting.delete(reject);
            resolve(value);
          },
          (error) => {
            waiting.delete(reject);
            reject(error);
          },
        );
      });
    },
  };
}

type Answer = 'answered' | 'failed' | 'silent';

/** Whether there was an answer in time. */
function answerOf(asked: Promise<void>): Promise<Answer> {
  return new Promise((resolve) => {
    // When this process itself was held up, the answer may be there and not yet read.
    const timer = setTimeout(() => setImmediate(() => resolve('silent')), PATIENCE_MS);
    const end = (answer: Answer) => {
      clearTimeout(timer);
      resolve(answer);
    };
    asked.then(
      () => end('answered'),
      (error) => end(isConnectTimeout(error) ? 'silent' : 'failed'),
    );
  });
}

function isConnectTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'CONNECT_TIMEOUT';
}

function unavailable(): Fault {
  return new Fault('DATABASE_UNAVAILABLE', { retryAfterSeconds: UNAVAILABLE_RETRY_SECONDS });
}
