import type { Logger } from 'pino';
import type { AppLink } from './app-link.ts';

/** Wait after a first failure; doubled after each further one. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 2_000;

export interface SyncLoopOptions {
  link: AppLink;
  logger: Logger;
  /** How often an application that answers is asked again: it may have restarted with other code. */
  intervalMs: number;
  onReachable: () => void;
}

/**
 * Asks the application to register its functions, until it does and every few seconds after. Looks
 * at the machine's own time, also in tests with a virtual clock: the application is real.
 */
export class SyncLoop {
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #lastReason: string | null = null;
  #stopped = false;
  #asking = false;

  constructor(private readonly options: SyncLoopOptions) {}

  start(): void {
    void this.#ask();
  }

  /** A request found nobody there: ask soon, and again until somebody answers. */
  lost(reason: string): void {
    this.#report(reason);
    if (!this.#asking) this.#askIn(FIRST_WAIT_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    const reply = await this.options.link.sync();
    this.#asking = false;
    if (this.#stopped) return;
    if (reply.kind === 'answer' && reply.status === 200) {
      this.#failures = 0;
      this.#lastReason = null;
      this.options.onReachable();
      this.#askIn(this.options.intervalMs);
      return;
    }
    this.#report(reply.kind === 'answer' ? `registration: ${reply.status}` : reply.reason);
    this.#askIn(Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS));
    this.#failures += 1;
  }

  #askIn(waitMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#ask(), waitMs);
  }

  /** Says a reason once, not at every attempt. */
  #report(reason: string): void {
    if (reason === this.#lastReason) return;
    this.#lastReason = reason;
    this.options.logger.info({ reason }, 'inngest: waiting for the application');
  }
}
