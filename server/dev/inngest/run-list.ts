import type { Run, RunSummary } from './run.ts';

/** Ended runs that stay on the list. */
const ENDED_KEPT = 2_000;

/** All runs under way, and the last of those that ended. */
export class RunList {
  readonly #runs = new Set<Run>();

  add(run: Run): void {
    this.#runs.add(run);
    let excess = this.#runs.size - ENDED_KEPT;
    for (const old of this.#runs) {
      if (excess <= 0) return;
      if (!old.ended) continue;
      this.#runs.delete(old);
      excess -= 1;
    }
  }

  /** Runs that have not ended. */
  active(): Run[] {
    return [...this.#runs].filter((run) => !run.ended);
  }

  /** Newest first. */
  summaries(): RunSummary[] {
    return [...this.#runs].reverse().map((run) => run.summary());
  }
}
