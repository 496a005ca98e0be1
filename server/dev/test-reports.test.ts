import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countChaos, countPlaywright, countVitest, judge } from './test-reports.ts';

const DONE = { code: 0, errors: '' };
const BROKEN = { code: 1, errors: '' };

describe('a stage of npm test', () => {
  it('counts as one case when it has no cases of its own', () => {
    expect(judge(DONE, undefined)).toMatchObject({ passed: 1, failed: 0 });
    expect(judge(BROKEN, undefined)).toMatchObject({ passed: 0, failed: 1 });
  });

  it('passes with the number of its cases', () => {
    const count = { passed: 7, failed: 0, skipped: 0, failures: [] };
    expect(judge(DONE, count)).toEqual({ passed: 7, failed: 0, problem: '' });
  });

  it('fails when it ran no test', () => {
    expect(judge(DONE, { passed: 0, failed: 0, skipped: 0, failures: [] })).toMatchObject({
      failed: 1,
    });
  });

  it('fails when it left no report', () => {
    const ending = { code: 'SIGKILL', errors: 'one\nthe last\n' };
    expect(judge(ending, null)).toEqual({
      passed: 0,
      failed: 1,
      problem: 'it ended without a report (SIGKILL)\n  one\n  the last',
    });
  });

  it('fails by its skipped cases', () => {
    const verdict = judge(DONE, {
      passed: 7,
      failed: 1,
      skipped: 2,
      failures: ['a.test.ts › b: c'],
    });
    expect(verdict).toEqual({
      passed: 7,
      failed: 3,
      problem: '3 of 10 failed, 2 of them skipped\n  a.test.ts › b: c',
    });
  });

  it('fails by an error that no case has, such as a rejection nobody handled', () => {
    expect(judge(BROKEN, { passed: 7, failed: 0, skipped: 0, failures: [] })).toMatchObject({
      passed: 7,
      failed: 1,
    });
  });
});

describe('the reports', () => {
  it('give the cases of Vitest, and what failed by name', () => {
    const report = {
      numPassedTests: 5,
      numFailedTests: 1,
      numPendingTests: 2,
      numTodoTests: 1,
      testResults: [
        {
          name: join(process.cwd(), 'server', 'a.test.ts'),
          message: '',
          assertionResults: [
            { status: 'passed', fullName: 'an amount is exact', failureMessages: [] },
            {
              status: 'failed',
              fullName: 'an amount is never negative',
              failureMessages: [
                '\u001b[31mError: expected 4 to be 1\u001b[39m\n    at a.test.ts:1',
              ],
            },
          ],
        },
        { name: 'server/b.test.ts', message: 'Cannot find module c', assertionResults: [] },
      ],
    };
    expect(countVitest(report)).toEqual({
      passed: 5,
      failed: 1,
      skipped: 3,
      failures: [
        'server/a.test.ts › an amount is never negative: Error: expected 4 to be 1',
        'server/b.test.ts › the file: Cannot find module c',
      ],
    });
  });

  it('give the cases of Playwright, one that needed a second try as failed', () => {
    const stats = { expected: 5, unexpected: 1, flaky: 1, skipped: 1 };
    const spec = (title: string, ...messages: (string | null)[]) => ({
      title,
      file: 'pay.spec.ts',
      tests: [
        { results: messages.map((message) => (message === null ? {} : { error: { message } })) },
      ],
    });
    const suites = [
      {
        specs: [spec('pays', null)],
        suites: [{ specs: [spec('pays again', 'timed out', null), spec('refuses', 'no text')] }],
      },
    ];
    expect(countPlaywright({ stats, suites })).toEqual({
      passed: 5,
      failed: 2,
      skipped: 1,
      failures: ['pay.spec.ts › pays again: timed out', 'pay.spec.ts › refuses: no text'],
    });
  });

  it('give the chapters of the chaos script, without those that could not be run', () => {
    const failed = [{ name: 'c', why: 'LOST in c:hot' }];
    const report = { seed: 1, passed: ['a', 'b'], failed, notRun: ['d'] };
    expect(countChaos(report)).toEqual({
      passed: 2,
      failed: 1,
      skipped: 0,
      failures: ['c: LOST in c:hot'],
    });
  });

  it('are refused in another shape', () => {
    expect(() => countVitest({})).toThrow();
    expect(() => countChaos({})).toThrow();
    expect(() => countPlaywright({ stats: {} })).toThrow();
  });
});
