import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Caller, closedLoop, fixedRate } from './load.ts';

function callers(call: () => Promise<unknown>) {
  let closed = 0;
  const open = async (): Promise<Caller> => ({
    async call() {
      await call();
      return 'called';
    },
    close() {
      closed += 1;
    },
  });
  return { open, closed: () => closed };
}

test('a caller has one call under way at most, and every call is counted', async () => {
  let underWay = 0;
  let most = 0;
  let calls = 0;
  const { open, closed } = callers(async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    await sleep(5);
    underWay -= 1;
    calls += 1;
  });
  const load = await closedLoop({ callers: 3, seconds: 0.1, open });
  expect(most).toBe(3);
  expect(load.calls).toBe(calls);
  expect(load.p50Ms).toBeGreaterThanOrEqual(4);
  expect(closed()).toBe(3);
});

test('a caller that has nothing left to call with ends without being counted', async () => {
  const answers: ('called' | 'finished')[] = ['called', 'called', 'finished'];
  const load = await closedLoop({
    callers: 1,
    seconds: 10,
    open: async () => ({ call: async () => answers.shift() ?? 'finished', close: () => undefined }),
  });
  expect(load.calls).toBe(2);
});

test('a wrong answer ends the load with its error, and closes every caller', async () => {
  const refuse = async () => {
    throw new Error('refused');
  };
  for (const load of [closedLoop, fixedRate]) {
    const { open, closed } = callers(refuse);
    await expect(load({ callers: 2, perSecond: 100, seconds: 0.1, open })).rejects.toThrow(
      'refused',
    );
    expect(closed()).toBe(2);
  }
});

test('at a fixed rate a stall shows in the latency of every call that it kept waiting', async () => {
  let first = true;
  const { open } = callers(async () => {
    if (first) {
      first = false;
      await sleep(200);
    }
  });
  const load = await fixedRate({ callers: 1, perSecond: 100, seconds: 0.2, open });
  expect(load.calls).toBe(20);
  // The call in the middle was due 100 ms after the start and could not leave before 200 ms.
  expect(load.p50Ms).toBeGreaterThan(60);
});
