/** The write queue under arrivals, delays and failures of any pattern. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createWriteQueue } from './write-queue.ts';

interface Write {
  readonly walletId: string;
  readonly key: number;
  readonly order: number;
  /** The database cannot take it. */
  readonly isBad: boolean;
}

const arrival = fc.record({
  /** Turns of the event loop since the arrival before; mostly none, so that many wait. */
  after: fc.constantFrom(0, 0, 0, 1, 4),
  wallet: fc.nat({ max: 4 }),
  key: fc.nat({ max: 5 }),
  isBad: fc.constantFrom(...Array<boolean>(9).fill(false), true),
});
const scene = fc.record({
  lanes: fc.integer({ min: 1, max: 3 }),
  maxBatch: fc.integer({ min: 1, max: 8 }),
  together: fc.constantFrom(0, 4, 40),
  inOrder: fc.boolean(),
  arrivals: fc.array(arrival, { minLength: 1, maxLength: 60, size: 'max' }),
  /** What each batch takes, in turns, by turns. */
  delays: fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 10 }),
  deadlocks: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
});

const idOf = (wallet: number) => `00000000-0000-4000-8000-00000000000${wallet}`;

async function turns(count: number): Promise<void> {
  for (let passed = 0; passed < count; passed += 1) {
    await new Promise((done) => setImmediate(done));
  }
}

it('answers every write with its own outcome, in the order of each wallet, and keeps equal keys and lanes apart', async () => {
  let early = 0;
  await fc.assert(
    fc.asyncProperty(scene, async ({ arrivals, delays, deadlocks, ...options }) => {
      let calls = 0;
      const triesOf = new Map<readonly Write[], number>();
      const underWay = new Set<string>();
      const taken: Write[] = [];
      const unsound: (readonly Write[])[] = [];
      /** Resolves when what each line has been given is applied. */
      const lines = Array.from({ length: options.lanes }, () => Promise.resolve());
      /** How many batches each line has been given that are not applied. */
      const onLine = Array<number>(options.lanes).fill(0);
      let givenBack = false;
      const queue = createWriteQueue<Write, string>({
        ...options,
        uniqueBy: ({ walletId, key }) => `${walletId} ${key}`,
        isDeadlock: (error) => error === 'deadlock',
        isOutage: () => false,
        apply(writes, line) {
          onLine[line] = (onLine[line] ?? 0) + 1;
          early += Number((onLine[line] ?? 0) > 1);
          const names = new Set(writes.map(({ walletId, key }) => `${walletId} ${key}`));
          // An error here would be taken for the database's.
          const isSound =
            writes.length <= options.maxBatch &&
            names.size === writes.length &&
            (onLine[line] ?? 0) <= (options.inOrder ? 2 : 1);
          if (!isSound) {
            unsound.push(writes);
          }
          const applied = (lines[line] ?? Promise.resolve())
            .then(() => applyNow(writes))
            .finally(() => {
              onLine[line] = (onLine[line] ?? 0) - 1;
            });
          lines[line] = applied.then(
            () => undefined,
            () => undefined,
          );
          return applied;
        },
      });

      async function applyNow(writes: readonly Write[]): Promise<string[]> {
        calls += 1;
        const wallets = new Set(writes.map(({ walletId }) => walletId));
        if ([...wallets].some((wallet) => underWay.has(wallet))) {
          unsound.push(writes);
        }
        for (const wallet of wallets) underWay.add(wallet);
        await turns(delays[calls % delays.length] ?? 0);
        for (const wallet of wallets) underWay.delete(wallet);
        // Not so often that a batch is given up.
        const tries = (triesOf.get(writes) ?? 0) + 1;
        triesOf.set(writes, tries);
        if (tries < 4 && deadlocks[calls % deadlocks.length]) {
          givenBack = true;
          throw 'deadlock';
        }
        if (writes.some(({ isBad }) => isBad)) {
          givenBack = true;
          throw new Error('bad');
        }
        taken.push(...writes);
        return writes.map(({ order }) => `answer ${order}`);
      }

      const answers: Promise<string>[] = [];
      for (const [order, { after, wallet, key, isBad }] of arrivals.entries()) {
        await turns(after);
        answers.push(
          queue.send({ walletId: idOf(wallet), key, order, isBad }).catch((error) => error.message),
        );
      }
      expect(await Promise.all(answers)).toEqual(
        arrivals.map(({ isBad }, order) => (isBad ? 'bad' : `answer ${order}`)),
      );
      expect(unsound).toEqual([]);
      expect(queue.waiting()).toBe(0);
      for (const [index, { walletId, key, order }] of taken.entries()) {
        const overtook = taken
          .slice(0, index)
          .filter((write) => write.walletId === walletId && write.order > order);
        // Only what has an equal before it may wait longer than its turn: it is a replay.
        const isFirst = !arrivals
          .slice(0, order)
          .some((write) => idOf(write.wallet) === walletId && write.key === key);
        // A batch that the database gave back is overtaken by the one that followed it early.
        const mayBeOvertaken = options.inOrder && givenBack;
        expect(
          overtook.filter((write) => !mayBeOvertaken && (isFirst || write.key === key)),
        ).toEqual([]);
      }
    }),
    { numRuns: 150 },
  );
  expect(early).toBeGreaterThan(0);
});
