import { cron, eventType, type InngestFunction, NonRetriableError, RetryAfterError } from 'inngest';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { VirtualClock } from './clock.ts';
import type { InngestRunnerOptions } from './runner.ts';
import { startTestBed, type TestBed } from './test-app.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const ping = eventType('test/ping');
const pong = eventType('test/pong');

vi.setConfig({ testTimeout: 20_000 });

let bed: TestBed | undefined;

/** Starts application and runner with the functions that `define` makes. */
async function start(
  define: (inngest: TestBed['inngest']) => InngestFunction.Like[],
  options: Partial<InngestRunnerOptions> = {},
): Promise<TestBed> {
  bed = await startTestBed(options);
  bed.mount(define(bed.inngest));
  await bed.runner.synced();
  return bed;
}

/** As `start`, with a clock that the test moves. */
async function startVirtual(
  at: string,
  define: (inngest: TestBed['inngest']) => InngestFunction.Like[],
) {
  const clock = new VirtualClock(at);
  const started = await start(define, { clock });
  return { ...started, clock, advance: (ms: number) => clock.advance(ms, started.runner.idle) };
}

afterEach(async () => {
  await bed?.stop();
  bed = undefined;
});

describe('steps', () => {
  it('runs each step once and hands its result to every later request', async () => {
    const calls: string[] = [];
    const { inngest, runner, advance } = await startVirtual('2026-03-01T00:00:00Z', (app) => [
      app.createFunction({ id: 'chain', triggers: ping, retries: 0 }, async ({ event, step }) => {
        const first = await step.run('first', () => {
          calls.push('first');
          return Number(event.data.amount) + 1;
        });
        await step.sleep('nap', '1s');
        return step.run('second', () => {
          calls.push('second');
          return { doubled: first * 2 };
        });
      }),
    ]);
    await inngest.send(ping.create({ amount: 20 }));
    await advance(1_000);
    await runner.settled();
    expect(calls).toEqual(['first', 'second']);
    expect(runner.runs()).toMatchObject([
      {
        functionId: 'prepaid-wallet-chain',
        status: 'completed',
        output: { doubled: 42 },
        steps: [
          { name: 'first', status: 'done' },
          { name: 'nap', status: 'done' },
          { name: 'second', status: 'done' },
        ],
      },
    ]);
  });

  it('takes checkpoints, so that steps in a row need one request', async () => {
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'row', triggers: ping }, async ({ step }) => {
        await step.run('a', () => 1);
        await step.run('b', () => 2);
        return step.run('c', () => 3);
      }),
    ]);
    await inngest.send(ping.create());
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed', output: 3, requests: 1 }]);
  });

  it('drives parallel branches, each step once', async () => {
    const calls: string[] = [];
    const { inngest, runner, advance } = await startVirtual('2026-03-01T00:00:00Z', (app) => [
      app.createFunction({ id: 'parallel', triggers: ping }, async ({ step }) => {
        const run = (name: string) =>
          step.run(name, () => {
            calls.push(name);
            return name;
          });
        const branch = async () => [await run('b1'), await run('b2')];
        const [a, b] = await Promise.all([run('a'), branch(), step.sleep('nap', '1s')]);
        return [a, ...b];
      }),
    ]);
    await inngest.send(ping.create());
    await advance(1_000);
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed', output: ['a', 'b1', 'b2'] }]);
    expect(calls.sort()).toEqual(['a', 'b1', 'b2']);
  });

  it('sleeps exactly as long as it was told', async () => {
    const { inngest, runner, advance } = await startVirtual('2026-01-31T00:00:00Z', (app) => [
      app.createFunction({ id: 'sleeper', triggers: ping }, ({ step }) => step.sleep('nap', '30d')),
    ]);
    await inngest.send(ping.create());
    await advance(30 * DAY_MS - 1);
    expect(runner.runs()).toMatchObject([{ status: 'running', steps: [{ status: 'waiting' }] }]);
    await advance(1);
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed' }]);
  });

  it('sends events from a step, one run for each', async () => {
    const seen: number[] = [];
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'fan-out', triggers: ping }, ({ step }) =>
        step.sendEvent(
          'send',
          [0, 1, 2, 3, 4].map((n) => pong.create({ n })),
        ),
      ),
      app.createFunction({ id: 'leaf', triggers: pong }, ({ event }) => {
        seen.push(event.data.n);
      }),
    ]);
    await inngest.send(ping.create());
    await runner.settled();
    expect(seen.sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('waits for a matching event, or until the time is over', async () => {
    const { inngest, runner, advance } = await startVirtual('2026-03-01T00:00:00Z', (app) => [
      app.createFunction({ id: 'waiter', triggers: ping }, async ({ step }) => {
        const found = await step.waitForEvent('answer', {
          event: pong,
          match: 'data.id',
          timeout: '1h',
        });
        return found?.data.answer ?? 'nothing came';
      }),
    ]);
    await inngest.send([ping.create({ id: 'a' }), ping.create({ id: 'b' })]);
    await runner.idle();
    await inngest.send(pong.create({ id: 'a', answer: 'hello' }));
    await advance(HOUR_MS);
    await runner.settled();
    expect(
      runner
        .runs()
        .map((run) => run.output)
        .sort(),
    ).toEqual(['hello', 'nothing came']);
  });

  it('invokes another function and takes its result or its error', async () => {
    const { inngest, runner } = await start((app) => {
      const child = app.createFunction({ id: 'child', triggers: pong, retries: 0 }, ({ event }) => {
        if (event.data.n < 0) throw new NonRetriableError('negative');
        return event.data.n * 2;
      });
      const parent = app.createFunction(
        { id: 'parent', triggers: ping, retries: 0 },
        async ({ step }) => {
          const good = await step.invoke('good', { function: child, data: { n: 21 } });
          const bad = await step
            .invoke('bad', { function: child, data: { n: -1 } })
            .catch((error: Error) => error.message);
          return [good, bad];
        },
      );
      return [child, parent];
    });
    await inngest.send(ping.create());
    await runner.settled();
    const run = runner.runs().find((each) => each.functionId.endsWith('parent'));
    expect(run).toMatchObject({ status: 'completed', output: [42, 'negative'] });
  });
});

describe('failures', () => {
  it('retries a step until it succeeds, without running earlier steps again', async () => {
    const attempts: number[] = [];
    let before = 0;
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'flaky', triggers: ping, retries: 3 }, async ({ step, attempt }) => {
        await step.run('before', () => {
          before += 1;
        });
        return step.run('flaky', () => {
          attempts.push(attempt);
          if (attempts.length < 3) throw new Error('not yet');
          return 'done';
        });
      }),
    ]);
    await inngest.send(ping.create());
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed', output: 'done' }]);
    expect(attempts).toEqual([0, 1, 2]);
    expect(before).toBe(1);
  });

  it('gives up after `retries` and calls onFailure once, with the error and the event', async () => {
    let bodies = 0;
    const failures: { message: string; original: unknown }[] = [];
    const { inngest, runner } = await start((app) => [
      app.createFunction(
        {
          id: 'doomed',
          triggers: ping,
          retries: 2,
          onFailure: ({ error, event }) => {
            failures.push({ message: error.message, original: event.data.event.data });
          },
        },
        ({ step }) =>
          step.run('doomed', () => {
            bodies += 1;
            throw new Error('the disk is full');
          }),
      ),
    ]);
    await inngest.send(ping.create({ n: 7 }));
    await runner.settled();
    expect(bodies).toBe(3);
    expect(failures).toEqual([{ message: 'the disk is full', original: { n: 7 } }]);
    expect(runner.runs().map((run) => run.status)).toEqual(['completed', 'failed']);
  });

  it('does not retry what is not retriable', async () => {
    let bodies = 0;
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'final', triggers: ping, retries: 5 }, () => {
        bodies += 1;
        throw new NonRetriableError('no such wallet');
      }),
    ]);
    await inngest.send(ping.create());
    await runner.settled();
    expect(bodies).toBe(1);
    expect(runner.runs()).toMatchObject([
      { status: 'failed', error: { message: 'no such wallet' } },
    ]);
  });

  it('waits as long as a RetryAfterError asks', async () => {
    const { inngest, runner, advance } = await startVirtual('2026-03-01T00:00:00Z', (app) => {
      let bodies = 0;
      return [
        app.createFunction({ id: 'later', triggers: ping }, () => {
          bodies += 1;
          if (bodies === 1) throw new RetryAfterError('busy', '10m');
        }),
      ];
    });
    await inngest.send(ping.create());
    await advance(10 * MINUTE_MS - 1);
    expect(runner.runs()).toMatchObject([{ status: 'running', requests: 1 }]);
    await advance(1);
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed', requests: 2 }]);
  });

  it('runs the body of a step again when its reply was lost', async () => {
    let bodies = 0;
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'twice', triggers: ping }, ({ step }) =>
        step.run('twice', () => {
          bodies += 1;
          return bodies;
        }),
      ),
    ]);
    runner.inject({ kind: 'lose-reply', target: 'prepaid-wallet-twice' });
    await inngest.send(ping.create());
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed', output: 2 }]);
  });

  it('runs a step again when the application dies in the middle of it', async () => {
    let bodies = 0;
    const { inngest, runner, appDown, appUp } = await start((app) => [
      app.createFunction({ id: 'crash', triggers: ping }, ({ step }) =>
        step.run('crash', async () => {
          bodies += 1;
          if (bodies > 1) return bodies;
          await appDown();
          return new Promise(() => {});
        }),
      ),
    ]);
    await inngest.send(ping.create());
    await expect
      .poll(() => runner.runs()[0]?.error?.message, { timeout: 10_000 })
      .toMatch(/no usable answer/);
    await appUp();
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed', output: 2 }]);
  });

  it('fails a run that asks for what the runner cannot do, and says so', async () => {
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'cel', triggers: ping }, ({ step }) =>
        step.waitForEvent('wait', { event: pong, if: 'async.data.n > 1', timeout: '1h' }),
      ),
    ]);
    await inngest.send(ping.create());
    await runner.settled();
    expect(runner.runs()).toMatchObject([
      { status: 'failed', error: { message: expect.stringContaining('not supported') } },
    ]);
  });

  it("fails a run whose step's output is larger than Inngest allows", async () => {
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'large', triggers: ping }, ({ step }) =>
        step.run('large', () => 'x'.repeat(4 * 1024 * 1024)),
      ),
    ]);
    await inngest.send(ping.create());
    await runner.settled();
    expect(runner.runs()).toMatchObject([
      { status: 'failed', error: { message: expect.stringContaining('4 MB') } },
    ]);
  });

  it('keeps events and runs while the application is down, and attempts are not used up', async () => {
    const seen: number[] = [];
    const { inngest, runner, appDown, appUp } = await start((app) => [
      app.createFunction({ id: 'kept', triggers: ping, retries: 0 }, ({ event }) => {
        seen.push(event.data.n);
      }),
    ]);
    await appDown();
    await inngest.send([1, 2, 3].map((n) => ping.create({ n })));
    await runner.idle();
    expect(runner.runs()).toHaveLength(3);
    expect(seen).toEqual([]);
    await appUp();
    await runner.settled();
    expect(seen.sort()).toEqual([1, 2, 3]);
  });

  it('keeps events that come before the application has ever answered', async () => {
    const seen: number[] = [];
    bed = await startTestBed();
    await bed.appDown();
    await bed.inngest.send(ping.create({ n: 1 }));
    bed.mount([
      bed.inngest.createFunction({ id: 'early', triggers: ping }, ({ event }) => {
        seen.push(event.data.n);
      }),
    ]);
    await bed.appUp();
    await bed.runner.settled();
    expect(seen).toEqual([1]);
  });
});

describe('events', () => {
  it('takes an event id once in 24 hours, also after its run failed', async () => {
    const { inngest, runner, advance } = await startVirtual('2026-03-01T00:00:00Z', (app) => [
      app.createFunction({ id: 'once', triggers: ping, retries: 0 }, () => {
        throw new Error('always');
      }),
    ]);
    const send = () => inngest.send(ping.create({}, { id: 'same' }));
    await expect(send()).resolves.toEqual({ ids: ['same'] });
    await advance(DAY_MS - 1);
    await send();
    await runner.settled();
    expect(runner.runs()).toHaveLength(1);
    await advance(1);
    await send();
    await runner.settled();
    expect(runner.runs()).toHaveLength(2);
  });

  it('answers a repeated request of the SDK with the same ids and runs nothing twice', async () => {
    const { runner } = await start((app) => [
      app.createFunction({ id: 'seeded', triggers: ping }, () => null),
    ]);
    const send = async () => {
      const response = await fetch(`${runner.url}/e/key`, {
        method: 'POST',
        headers: { 'x-inngest-event-id-seed': '1772323200000,c2VlZA==' },
        body: JSON.stringify([{ name: 'test/ping' }]),
      });
      return response.json();
    };
    expect(await send()).toEqual(await send());
    await runner.settled();
    expect(runner.runs()).toHaveLength(1);
  });

  it.each([
    ['not JSON', '{'],
    ['no name', '[{"data":{}}]'],
    ['a reserved name', '[{"name":"inngest/function.failed"}]'],
    ['data that is no object', '[{"name":"test/ping","data":7}]'],
    ['too large an event', JSON.stringify({ name: 'test/ping', data: { x: 'x'.repeat(300_000) } })],
    ['too many events', JSON.stringify(Array.from({ length: 5_001 }, () => ({ name: 'a' })))],
  ])('refuses %s with 400 and a reason', async (_case, body) => {
    const { runner } = await start(() => []);
    const response = await fetch(`${runner.url}/e/key`, { method: 'POST', body });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ status: 400, error: expect.any(String) });
  });

  it('runs a function twice when an event is delivered twice', async () => {
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'doubled', triggers: ping }, () => null),
    ]);
    runner.inject({ kind: 'duplicate-event', target: 'test/ping' });
    await inngest.send(ping.create());
    await runner.settled();
    expect(runner.runs()).toHaveLength(2);
  });
});

describe('scheduling', () => {
  it('never runs more at once than the concurrency limit of a key allows', async () => {
    let running = 0;
    let most = 0;
    const runningByKey: Record<string, number> = {};
    let mostOfOneKey = 0;
    const { inngest, runner } = await start((app) => [
      app.createFunction(
        {
          id: 'limited',
          triggers: ping,
          concurrency: [{ limit: 4 }, { limit: 1, key: 'event.data.wallet' }],
        },
        ({ event, step }) =>
          step.run('work', async () => {
            const key = String(event.data.wallet);
            running += 1;
            runningByKey[key] = (runningByKey[key] ?? 0) + 1;
            most = Math.max(most, running);
            mostOfOneKey = Math.max(mostOfOneKey, runningByKey[key]);
            // However slow the machine is, nobody ends before as many as may have come together.
            await vi.waitFor(() => expect(most).toBeGreaterThanOrEqual(4), 4_000);
            await new Promise((resolve) => setTimeout(resolve, 20));
            running -= 1;
            runningByKey[key] -= 1;
          }),
      ),
    ]);
    const wallets = ['a', 'b', 'c', 'd', 'e', 'f'];
    await inngest.send([...wallets, ...wallets].map((wallet) => ping.create({ wallet })));
    await runner.settled();
    expect(runner.runs().every((run) => run.status === 'completed')).toBe(true);
    expect(most).toBe(4);
    expect(mostOfOneKey).toBe(1);
  });

  it('fires crons when they are due, in UTC or in the zone of TZ=, with the due time as ts', async () => {
    const fired: string[] = [];
    const at =
      (name: string) =>
      ({ event }: { event: { ts: number } }) => {
        fired.push(`${name} ${new Date(event.ts).toISOString()}`);
      };
    const { advance } = await startVirtual('2026-03-28T12:00:00Z', (app) => [
      app.createFunction({ id: 'utc', triggers: cron('0 2 1 * *') }, at('utc')),
      app.createFunction(
        { id: 'berlin', triggers: cron('TZ=Europe/Berlin 0 9 * * *') },
        at('berlin'),
      ),
    ]);
    // Berlin's clocks go forward on the 29th.
    await advance(18 * HOUR_MS);
    expect(fired).toEqual([]);
    await advance(2 * HOUR_MS);
    expect(fired).toEqual(['berlin 2026-03-29T07:00:00.000Z']);
    await advance(2 * DAY_MS + 18 * HOUR_MS);
    expect(fired.at(-1)).toBe('utc 2026-04-01T02:00:00.000Z');
    expect(fired).toHaveLength(4);
  });

  it('starts nothing while paused and everything after resume', async () => {
    const { inngest, runner } = await start((app) => [
      app.createFunction({ id: 'held', triggers: ping }, () => null),
    ]);
    runner.pause();
    await inngest.send(ping.create());
    await runner.idle();
    expect(runner.runs()).toMatchObject([{ status: 'queued', requests: 0 }]);
    runner.resume();
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed' }]);
  });

  it('delays a request when told to', async () => {
    const { inngest, runner, advance } = await startVirtual('2026-03-01T00:00:00Z', (app) => [
      app.createFunction({ id: 'slow', triggers: ping }, () => null),
    ]);
    runner.inject({ kind: 'delay', delayMs: MINUTE_MS });
    await inngest.send(ping.create());
    await advance(MINUTE_MS - 1);
    expect(runner.runs()).toMatchObject([{ status: 'queued' }]);
    await advance(1);
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ status: 'completed' }]);
  });
});

describe('registration', () => {
  const refusals: [string, (app: TestBed['inngest']) => InngestFunction.Like, RegExp][] = [
    [
      'an `if` expression',
      (app) =>
        app.createFunction({ id: 'x', triggers: { event: 'a', if: 'event.data.n > 1' } }, () => 1),
      /expression "event.data.n > 1" is not supported/,
    ],
    [
      'a debounce',
      (app) => app.createFunction({ id: 'x', triggers: ping, debounce: { period: '1m' } }, () => 1),
      /debounce/,
    ],
    [
      'an event name with a wildcard',
      (app) => app.createFunction({ id: 'x', triggers: { event: 'test/*' } }, () => 1),
      /\* are not supported/,
    ],
    [
      'a jitter on a cron',
      (app) =>
        app.createFunction({ id: 'x', triggers: { cron: '0 2 1 * *', jitter: '5m' } }, () => 1),
      /jitter/,
    ],
    [
      'a computed concurrency key',
      (app) =>
        app.createFunction(
          {
            id: 'x',
            triggers: ping,
            concurrency: { limit: 1, key: 'event.data.a + event.data.b' },
          },
          () => 1,
        ),
      /a concurrency key can only be a path/,
    ],
    [
      'a malformed cron',
      (app) => app.createFunction({ id: 'x', triggers: cron('99 2 1 * *') }, () => 1),
      /99/,
    ],
  ];
  it.each(refusals)('refuses %s and says so', async (_case, define, reason) => {
    bed = await startTestBed();
    bed.mount([define(bed.inngest)]);
    const response = await fetch(bed.appUrl, { method: 'PUT' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ message: expect.stringMatching(reason) });
  });

  it('takes up new functions of a restarted application', async () => {
    const { inngest, runner, mount, appDown, appUp } = await start((app) => [
      app.createFunction({ id: 'old', triggers: ping }, () => 'old'),
    ]);
    await appDown();
    mount([inngest.createFunction({ id: 'new', triggers: pong }, () => 'new')]);
    await appUp();
    await expect
      .poll(
        async () => {
          await inngest.send(pong.create());
          await runner.settled();
          return runner.runs().at(0)?.output;
        },
        { timeout: 10_000 },
      )
      .toBe('new');
  });

  it('shows functions and runs on its page, and its button starts a cron function', async () => {
    const { runner } = await start((app) => [
      app.createFunction({ id: 'monthly', triggers: cron('0 2 1 * *') }, ({ event }) => event.name),
    ]);
    const press = (headers: Record<string, string>) =>
      fetch(`${runner.url}/invoke`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ functionId: 'prepaid-wallet-monthly' }),
      });
    expect((await press({ origin: 'http://elsewhere.example' })).status).toBe(403);
    expect((await press({ origin: runner.url })).status).toBe(200);
    await runner.settled();
    expect(runner.runs()).toMatchObject([{ output: 'inngest/scheduled.timer' }]);
    const page = await (await fetch(runner.url)).text();
    expect(page).toContain('prepaid-wallet-monthly');
    expect(page).toContain('completed');
  });
});
