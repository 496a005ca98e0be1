import { beforeEach, describe, expect, it } from 'vitest';
import { createRateLimiter } from './rate-limit.ts';

let nowMs = 0;
beforeEach(() => {
  nowMs = 5_000;
});

const limiter = (perSecond: number, burst: number) =>
  createRateLimiter({ perSecond, burst }, () => nowMs);

describe('a rate limiter', () => {
  it('lets a burst through, then says after how many seconds the next call may come', () => {
    const { take } = limiter(10, 3);
    expect([take(1), take(1), take(1), take(1)]).toEqual([0, 0, 0, 0.1]);
  });

  it('takes nothing for a call that it refuses', () => {
    const { take } = limiter(10, 1);
    take(1);
    expect([take(1), take(1), take(1)]).toEqual([0.1, 0.1, 0.1]);
    nowMs += 100;
    expect(take(1)).toBe(0);
  });

  it('lets no more through in the long run than its rate and one burst', () => {
    const { take } = limiter(10, 5);
    let passed = 0;
    for (; nowMs < 15_000; nowMs += 7) {
      passed += take(1) === 0 ? 1 : 0;
    }
    expect(passed).toBeGreaterThanOrEqual(103);
    expect(passed).toBeLessThanOrEqual(105);
  });

  it('saves up no more than a burst, however long the rest was', () => {
    const { take } = limiter(10, 3);
    nowMs += 3_600_000;
    expect([take(1), take(1), take(1)]).toEqual([0, 0, 0]);
    expect(take(1)).toBeGreaterThan(0);
  });

  it('lets a batch that is larger than its burst through when rested, and then makes up for it', () => {
    const { take } = limiter(10, 5);
    expect(take(100)).toBe(0);
    expect(take(1)).toBeCloseTo(9.6);
    nowMs += 9_600;
    expect(take(1)).toBe(0);
    expect(take(100)).toBeCloseTo(0.5);
  });
});
