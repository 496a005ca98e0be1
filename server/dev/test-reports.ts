/** Counts the cases in the reports of Vitest, Playwright and the chaos script, so that nothing passes by absence. */
import { z } from 'zod';

export interface Count {
  readonly passed: number;
  readonly failed: number;
  /** Cases that were left out. They prove nothing, so that they count as failed. */
  readonly skipped: number;
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  /** Why it failed; empty when it did not. */
  readonly problem: string;
}

const VITEST = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
});

export function countVitest(report: unknown): Count {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = VITEST.parse(report);
  return {
    passed: numPassedTests,
    failed: numFailedTests,
    skipped: numPendingTests + numTodoTests,
  };
}

const PLAYWRIGHT = z.object({
  stats: z.object({
    expected: z.number(),
    unexpected: z.number(),
    flaky: z.number(),
    skipped: z.number(),
  }),
});

export function countPlaywright(report: unknown): Count {
  const { expected, unexpected, flaky, skipped } = PLAYWRIGHT.parse(report).stats;
  // A case that passed only when it was repeated has failed once.
  return { passed: expected, failed: unexpected + flaky, skipped };
}

const CHAOS = z.object({ passed: z.array(z.string()), failed: z.array(z.string()) });

/** A chapter is one case. What needs root, and did not have it, is none: the script says so. */
export function countChaos(report: unknown): Count {
  const { passed, failed } = CHAOS.parse(report);
  return { passed: passed.length, failed: failed.length, skipped: 0 };
}

/**
 * What a stage amounts to. `count` is undefined for a stage that is one case by itself, and null
 * for one whose report could not be read.
 */
export function judge(succeeded: boolean, count: Count | null | undefined): Verdict {
  if (count === undefined) {
    return succeeded
      ? { passed: 1, failed: 0, problem: '' }
      : { passed: 0, failed: 1, problem: 'see its output above' };
  }
  if (count === null) {
    return { passed: 0, failed: 1, problem: 'it ended without a report' };
  }
  const { passed, skipped } = count;
  const failed = count.failed + skipped;
  if (failed > 0) {
    const left = skipped > 0 ? `, ${skipped} of them skipped` : '';
    return { passed, failed, problem: `${failed} of ${passed + failed} failed${left}` };
  }
  if (passed === 0) {
    return { passed, failed: 1, problem: 'it ran no test' };
  }
  return succeeded
    ? { passed, failed, problem: '' }
    : { passed, failed: 1, problem: 'an error outside the tests' };
}
