import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ClockScope, systemClock, VirtualClock } from './clock.ts';
import { instantOf, retryInstant } from './duration.ts';

const DAY_MS = 86_400_000;

describe('systemClock', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('waits longer than one of Node’s timers can', () => {
    const task = vi.fn();
    systemClock.schedule(Date.now() + 31 * DAY_MS, task);
    vi.advanceTimersByTime(31 * DAY_MS - 1);
    expect(task).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(task).toHaveBeenCalledOnce();
  });

  it('takes a task back', () => {
    const task = vi.fn();
    systemClock.schedule(Date.now() + 31 * DAY_MS, task)();
    vi.advanceTimersByTime(32 * DAY_MS);
    expect(task).not.toHaveBeenCalled();
  });
});

describe('ClockScope', () => {
  it('takes back all of its tasks when it is closed, and takes no more', async () => {
    const clock = new VirtualClock('2026-01-01T00:00:00Z');
    const scope = new ClockScope(clock);
    const task = vi.fn();
    scope.schedule(clock.now() + 1, task);
    scope.close();
    scope.schedule(clock.now() + 1, task);
    await clock.advance(10, async () => {});
    expect(task).not.toHaveBeenCalled();
  });
});

describe('the times that the SDK writes', () => {
  const now = Date.parse('2026-03-01T00:00:00Z');

  it.each([
    ['1s', '2026-03-01T00:00:01Z'],
    ['2h30m10s', '2026-03-01T02:30:10Z'],
    ['1w1d', '2026-03-09T00:00:00Z'],
    ['2026-05-01T10:00:00.000Z', '2026-05-01T10:00:00Z'],
  ])('reads %s', (text, instant) => {
    expect(instantOf(text, now)).toBe(Date.parse(instant));
  });

  it('does not guess at anything else', () => {
    expect(instantOf('', now)).toBeNull();
    expect(instantOf('soon', now)).toBeNull();
  });

  it('reads retry-after in seconds and as a date', () => {
    expect(retryInstant('600', now)).toBe(now + 600_000);
    expect(retryInstant('2026-03-01T01:00:00.000Z', now)).toBe(now + 3_600_000);
    expect(retryInstant('later', now)).toBeNull();
  });
});
