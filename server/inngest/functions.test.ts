import { afterEach, describe, expect, it, vi } from 'vitest';
import { VirtualClock } from '../dev/inngest/clock.ts';
import { startTestBed, type TestBed } from '../dev/inngest/test-app.ts';
import { billingMonthRequested, createInngest, stripeEventReceived } from './client.ts';
import {
  type BillingUseCases,
  createFunctions,
  type PlanPage,
  type WalletRange,
} from './functions.ts';

const DAY_MS = 86_400_000;
const RECONCILED = [
  { from: '2026-03-09T00:00:00.000Z', to: '2026-03-10T00:00:00.000Z' },
  { from: '2026-03-10T00:00:00.000Z', to: '2026-03-11T00:00:00.000Z' },
];

/** Use cases that note how they were called; `failing` makes the next calls of one throw. */
class RecordedUseCases implements BillingUseCases {
  readonly calls: [name: string, ...input: unknown[]][] = [];
  readonly failing = new Map<string, number>();
  pages: WalletRange[][] = [[]];

  async applyStripeEvent(eventId: string): Promise<{ outcome: string }> {
    this.#note('applyStripeEvent', eventId);
    return { outcome: 'applied' };
  }

  async requestMonth(at: Date): Promise<{ runId: string; period: string }> {
    this.#note('requestMonth', at.toISOString());
    return { runId: 'run-by-cron', period: '2026-03' };
  }

  async planMonth(runId: string, cursor: string | null): Promise<PlanPage> {
    this.#note('planMonth', runId, cursor);
    const page = Number(cursor ?? 0);
    const nextCursor = page + 1 < this.pages.length ? String(page + 1) : null;
    return { ranges: this.pages[page] ?? [], nextCursor };
  }

  async closeRange(input: { runId: string; period: string } & WalletRange) {
    this.#note('closeRange', input);
    return { closed: 1, failed: 0, pending: 0 };
  }

  async planReconciliation(at: Date) {
    this.#note('planReconciliation', at.toISOString());
    return { day: at.toISOString().slice(0, 10), ranges: RECONCILED };
  }

  async reconcileRange(input: { day: string; from: string; to: string }) {
    this.#note('reconcileRange', input);
    return { checked: 3, differences: 1 };
  }

  async finishReconciliation(day: string) {
    this.#note('finishReconciliation', day);
    return { reported: 1 };
  }

  /** What one use case was called with, in order. */
  inputs(name: keyof BillingUseCases): unknown[] {
    return this.calls.filter(([each]) => each === name).map(([, ...input]) => input);
  }

  #note(name: keyof BillingUseCases, ...input: unknown[]): void {
    this.calls.push([name, ...input]);
    const left = this.failing.get(name) ?? 0;
    this.failing.set(name, left - 1);
    if (left > 0) throw new Error(`${name} failed`);
  }
}

function range(index: number): WalletRange {
  return { fromWalletId: `w-${index}-from`, toWalletId: `w-${index}-to` };
}

vi.setConfig({ testTimeout: 20_000 });

let bed: TestBed | undefined;

async function start(useCases: BillingUseCases, at = '2026-03-10T12:00:00Z') {
  const clock = new VirtualClock(at);
  bed = await startTestBed({ clock });
  bed.mount(createFunctions(bed.inngest, useCases));
  const { inngest, runner } = bed;
  await runner.synced();
  return { inngest, runner, advance: (ms: number) => clock.advance(ms, runner.idle) };
}

afterEach(async () => {
  await bed?.stop();
  bed = undefined;
});

describe('stripe-apply', () => {
  it('applies the event that was received, in one step', async () => {
    const useCases = new RecordedUseCases();
    const { inngest, runner } = await start(useCases);
    await inngest.send(stripeEventReceived.create({ eventId: 'evt_1' }));
    await runner.settled();
    expect(useCases.calls).toEqual([['applyStripeEvent', 'evt_1']]);
    expect(runner.runs()).toMatchObject([
      { status: 'completed', output: { outcome: 'applied' }, steps: [{ name: 'apply' }] },
    ]);
  });

  it('applies it again when that failed, or when the result was lost', async () => {
    const useCases = new RecordedUseCases();
    useCases.failing.set('applyStripeEvent', 2);
    const { inngest, runner, advance } = await start(useCases);
    runner.inject({ kind: 'lose-reply', target: 'prepaid-wallet-stripe-apply' });
    await inngest.send(stripeEventReceived.create({ eventId: 'evt_2' }));
    await advance(DAY_MS / 4);
    expect(useCases.inputs('applyStripeEvent')).toEqual([['evt_2'], ['evt_2'], ['evt_2']]);
    expect(runner.runs()).toMatchObject([{ status: 'completed' }]);
  });

  it('refuses to send an event without what it needs', async () => {
    const inngest = createInngest({ isDev: true, baseUrl: 'http://127.0.0.1:9' });
    await expect(inngest.send(stripeEventReceived.create({ eventId: '' }))).rejects.toThrow(
      /eventId/,
    );
  });
});

describe('billing-month', () => {
  it('takes run and period from the event, plans every page and closes each range once', async () => {
    const useCases = new RecordedUseCases();
    useCases.pages = [[range(0), range(1)], [], [range(2)]];
    const { inngest, runner } = await start(useCases);
    await inngest.send(billingMonthRequested.create({ runId: 'run-7', period: '2026-01' }));
    await runner.settled();
    expect(useCases.inputs('requestMonth')).toEqual([]);
    expect(useCases.inputs('planMonth')).toEqual([
      ['run-7', null],
      ['run-7', '1'],
      ['run-7', '2'],
    ]);
    const run = { runId: 'run-7', period: '2026-01' };
    expect(useCases.inputs('closeRange')).toHaveLength(3);
    expect(useCases.inputs('closeRange')).toEqual(
      expect.arrayContaining([0, 1, 2].map((index) => [{ ...run, ...range(index) }])),
    );
    expect(runner.runs().at(-1)?.output).toEqual({ ...run, ranges: 3 });
  });

  it('started by cron, derives the period from when it was due, however late it runs', async () => {
    const useCases = new RecordedUseCases();
    const { runner, advance } = await start(useCases, '2026-03-31T23:00:00Z');
    runner.pause();
    await advance(40 * DAY_MS);
    expect(useCases.calls).toEqual([]);
    runner.resume();
    await runner.settled();
    expect(useCases.inputs('requestMonth')).toEqual(
      expect.arrayContaining([['2026-04-01T02:00:00.000Z'], ['2026-05-01T02:00:00.000Z']]),
    );
    expect(useCases.inputs('requestMonth')).toHaveLength(2);
  });

  it('sends more ranges than one request takes', async () => {
    const useCases = new RecordedUseCases();
    useCases.pages = [Array.from({ length: 2_001 }, (_each, index) => range(index))];
    const { inngest, runner } = await start(useCases);
    const plan = useCases.planMonth.bind(useCases);
    useCases.planMonth = (...input) => {
      // The month goes on; its ranges stay queued, for only their number matters here.
      runner.pause();
      return plan(...input);
    };
    await inngest.send(billingMonthRequested.create({ runId: 'run-8', period: '2026-02' }));
    await runner.idle();
    const runs = runner.runs();
    const fanOut = ['fan-out-0-0', 'fan-out-0-1', 'fan-out-0-2'];
    expect(runs.at(-1)?.steps.map((step) => step.name)).toEqual(['plan-0', ...fanOut]);
    expect(runs.filter((run) => run.event.name === 'billing/range.requested')).toHaveLength(2_001);
  });

  it('repeats a page that failed, and neither earlier pages nor their events', async () => {
    const useCases = new RecordedUseCases();
    useCases.pages = [[range(0)], [range(1)]];
    const { inngest, advance } = await start(useCases);
    const plan = useCases.planMonth.bind(useCases);
    useCases.planMonth = (runId, cursor) => {
      if (cursor === '1' && useCases.inputs('planMonth').length === 1) {
        useCases.failing.set('planMonth', 1);
      }
      return plan(runId, cursor);
    };
    await inngest.send(billingMonthRequested.create({ runId: 'run-9', period: '2026-02' }));
    await advance(DAY_MS / 4);
    expect(useCases.inputs('planMonth')).toEqual([
      ['run-9', null],
      ['run-9', '1'],
      ['run-9', '1'],
    ]);
    expect(useCases.inputs('closeRange')).toHaveLength(2);
  });
});

describe('billing-range', () => {
  it('closes a range again when that failed, and leaves the others alone', async () => {
    const useCases = new RecordedUseCases();
    useCases.pages = [[range(0), range(1)]];
    useCases.failing.set('closeRange', 1);
    const { inngest, runner, advance } = await start(useCases);
    await inngest.send(billingMonthRequested.create({ runId: 'run-10', period: '2026-02' }));
    await advance(DAY_MS / 4);
    expect(useCases.inputs('closeRange')).toHaveLength(3);
    expect(runner.runs().every((run) => run.status === 'completed')).toBe(true);
  });
});

describe('stripe-reconcile', () => {
  it('goes once a day through each range, one step each, and repeats only the one that failed', async () => {
    const useCases = new RecordedUseCases();
    const { runner, advance } = await start(useCases, '2026-03-10T03:00:00Z');
    useCases.failing.set('reconcileRange', 1);
    await advance(DAY_MS / 2);
    expect(useCases.inputs('planReconciliation')).toEqual([['2026-03-10T03:30:00.000Z']]);
    const [first, second] = RECONCILED.map((range) => [{ day: '2026-03-10', ...range }]);
    expect(useCases.inputs('reconcileRange')).toEqual([first, first, second]);
    expect(useCases.inputs('finishReconciliation')).toEqual([['2026-03-10']]);
    expect(runner.runs().at(-1)?.output).toEqual({
      day: '2026-03-10',
      checked: 6,
      differences: 2,
      reported: 1,
    });
  });
});
