/** Counts the cases in the reports of Vitest, Playwright and the chaos script, so that nothing passes by absence. */
import { isAbsolute, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';

export interface Count {
  readonly passed: number;
  readonly failed: number;
  /** Cases that were left out. They prove nothing, so that they count as failed. */
  readonly skipped: number;
  /** What failed by name, with the first line of why: a long run's output is often cut. */
  readonly failures: readonly string[];
}

/** How a stage's program ended. */
export interface Ending {
  /** The exit code, else the signal; null when the program could not be started. */
  readonly code: number | string | null;
  /** The last of what it wrote as errors. */
  readonly errors: string;
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  /** Why it failed, a line for each failure after the first line; empty when it did not. */
  readonly problem: string;
}

const VITEST = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      message: z.string(),
      assertionResults: z.array(
        z.object({
          status: z.string(),
          fullName: z.string(),
          failureMessages: z.array(z.string()).nullish(),
        }),
      ),
    }),
  ),
});

export function countVitest(report: unknown): Count {
  const { testResults, ...numbers } = VITEST.parse(report);
  return {
    passed: numbers.numPassedTests,
    failed: numbers.numFailedTests,
    skipped: numbers.numPendingTests + numbers.numTodoTests,
    failures: testResults.flatMap(({ name, message, assertionResults }) => [
      // A file that could not be read has no cases, but a message.
      ...(assertionResults.length === 0 ? [failure(name, 'the file', message)] : []),
      ...assertionResults
        .filter(({ status }) => status === 'failed')
        .map((test) => failure(name, test.fullName, test.failureMessages?.[0])),
    ]),
  };
}

const SPEC = z.object({
  title: z.string(),
  file: z.string(),
  tests: z.array(
    z.object({
      results: z.array(
        z.object({ error: z.object({ message: z.string().optional() }).optional() }),
      ),
    }),
  ),
});

const SUITE = z.object({
  specs: z.array(SPEC),
  get suites() {
    return z.array(SUITE).optional();
  },
});

const PLAYWRIGHT = z.object({
  stats: z.object({
    expected: z.number(),
    unexpected: z.number(),
    flaky: z.number(),
    skipped: z.number(),
  }),
  suites: z.array(SUITE),
});

export function countPlaywright(report: unknown): Count {
  const { stats, suites } = PLAYWRIGHT.parse(report);
  return {
    passed: stats.expected,
    // A case that passed only when it was repeated has failed once.
    failed: stats.unexpected + stats.flaky,
    skipped: stats.skipped,
    failures: suites
      .flatMap(specsOf)
      .flatMap(({ file, title, tests }) =>
        tests
          .flatMap(({ results }) => results.filter(({ error }) => error !== undefined).slice(0, 1))
          .map(({ error }) => failure(file, title, error?.message)),
      ),
  };
}

function specsOf({ specs, suites = [] }: z.infer<typeof SUITE>): z.infer<typeof SPEC>[] {
  return [...specs, ...suites.flatMap(specsOf)];
}

const CHAOS = z.object({
  passed: z.array(z.string()),
  failed: z.array(z.object({ name: z.string(), why: z.string() })),
});

/** A chapter is one case. What needs root, and did not have it, is none: the script says so. */
export function countChaos(report: unknown): Count {
  const { passed, failed } = CHAOS.parse(report);
  return {
    passed: passed.length,
    failed: failed.length,
    skipped: 0,
    failures: failed.map(({ name, why }) => `${name}: ${why.slice(0, 200)}`),
  };
}

function failure(file: string, title: string, message: string | undefined): string {
  const [why = ''] = stripVTControlCharacters(message ?? '').split('\n');
  return `${isAbsolute(file) ? relative('.', file) : file} › ${title}: ${why.slice(0, 200)}`;
}

/**
 * What a stage amounts to. `count` is undefined for a stage that is one case by itself, and null
 * for one whose report could not be read.
 */
export function judge({ code, errors }: Ending, count: Count | null | undefined): Verdict {
  const succeeded = code === 0;
  if (count === undefined) {
    return succeeded
      ? { passed: 1, failed: 0, problem: '' }
      : { passed: 0, failed: 1, problem: 'see its output above' };
  }
  if (count === null) {
    const lastWords = stripVTControlCharacters(errors).trim().replaceAll('\n', '\n  ');
    const problem = [`it ended without a report (${code})`, ...(lastWords ? [lastWords] : [])];
    return { passed: 0, failed: 1, problem: problem.join('\n  ') };
  }
  const { passed, skipped } = count;
  const failed = count.failed + skipped;
  if (failed > 0) {
    const left = skipped > 0 ? `, ${skipped} of them skipped` : '';
    const problem = [`${failed} of ${passed + failed} failed${left}`, ...count.failures];
    return { passed, failed, problem: problem.join('\n  ') };
  }
  if (passed === 0) {
    return { passed, failed: 1, problem: 'it ran no test' };
  }
  return succeeded
    ? { passed, failed, problem: '' }
    : { passed, failed: 1, problem: 'an error outside the tests' };
}
