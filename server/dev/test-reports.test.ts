import { describe, expect, it } from 'vitest';
import { countChaos, countPlaywright, countVitest, judge } from './test-reports.ts';

describe('a stage of npm test', () => {
  it('counts as one case when it has no cases of its own', () => {
    expect(judge(true, undefined)).toMatchObject({ passed: 1, failed: 0 });
    expect(judge(false, undefined)).toMatchObject({ passed: 0, failed: 1 });
  });

  it('passes with the number of its cases', () => {
    const count = { passed: 7, failed: 0, skipped: 0 };
    expect(judge(true, count)).toEqual({ passed: 7, failed: 0, problem: '' });
  });

  it('fails when it ran no test', () => {
    expect(judge(true, { passed: 0, failed: 0, skipped: 0 })).toMatchObject({ failed: 1 });
  });

  it('fails when it left no report', () => {
    expect(judge(true, null)).toMatchObject({ passed: 0, failed: 1 });
  });

  it('fails by its skipped cases', () => {
    const verdict = judge(true, { passed: 7, failed: 1, skipped: 2 });
    expect(verdict).toEqual({
      passed: 7,
      failed: 3,
      problem: '3 of 10 failed, 2 of them skipped',
    });
  });

  it('fails by an error that no case has, such as a rejection nobody handled', () => {
    expect(judge(false, { passed: 7, failed: 0, skipped: 0 })).toMatchObject({
      passed: 7,
      failed: 1,
    });
  });
});

describe('the reports', () => {
  it('give the cases of Vitest', () => {
    const report = { numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1 };
    expect(countVitest(report)).toEqual({ passed: 5, failed: 1, skipped: 3 });
  });

  it('give the cases of Playwright, one that needed a second try as failed', () => {
    const stats = { expected: 5, unexpected: 1, flaky: 1, skipped: 1 };
    expect(countPlaywright({ stats })).toEqual({ passed: 5, failed: 2, skipped: 1 });
  });

  it('give the chapters of the chaos script, without those that could not be run', () => {
    const report = { seed: 1, passed: ['a', 'b'], failed: ['c'], notRun: ['d'] };
    expect(countChaos(report)).toEqual({ passed: 2, failed: 1, skipped: 0 });
  });

  it('are refused in another shape', () => {
    expect(() => countVitest({})).toThrow();
    expect(() => countChaos({})).toThrow();
    expect(() => countPlaywright({ stats: {} })).toThrow();
  });
});
