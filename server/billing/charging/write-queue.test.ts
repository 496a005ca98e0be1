import { describe, expect, it } from 'vitest';
import type { QueuedCharge, QueuedOutcome } from '../../store/charges.ts';
import { createWriteQueue, type WriteQueueOptions } from './write-queue.ts';

const WALLET = '00000000-0000-4000-8000-000000000000';

function charge(key: string, walletId = WALLET): QueuedCharge {
  return {
    walletId,
    alone: false,
    key,
    requestHash: new Uint8Array(32),
    amountMicros: 1n,
    overrun: 'refuse',
    occurredAt: null,
    actor: 'api_key:test',
    detail: {},
  };
}

function accepted(seq: number): QueuedOutcome {
  return {
    code: 'OK',
    replayed: false,
    seq: BigInt(seq),
    amountMicros: 1n,
    balanceMicros: 0n,
    heldMicros: 0n,
    arrearsMicros: 0n,
    availableMicros: 0n,
    recordedAt: new Date(0),
    detail: null,
  };
}

/** A queue over a database that answers when it is told to, and a record of its batches. */
function queueWith(options: Partial<WriteQueueOptions<QueuedCharge, QueuedOutcome>> = {}) {
  const batches: string[][] = [];
  const answers: (() => void)[] = [];
  const queue = createWriteQueue<QueuedCharge, QueuedOutcome>({
    lanes: 1,
    maxBatch: 500,
    uniqueBy: ({ walletId, key }) => walletId + key,
    isDeadlock: (error) => error === 'deadlock',
    isOutage: (error) => error === 'outage',
    apply: async (charges) => {
      batches.push(charges.map(({ key }) => key));
      await new Promise<void>((answer) => answers.push(answer));
      return charges.map((_, index) => accepted(index));
    },
    ...options,
  });
  const turn = () => new Promise((done) => setImmediate(done));
  return {
    queue,
    batches,
    turn,
    async answer() {
      await turn();
      answers.shift()?.();
      await turn();
    },
  };
}

describe('the write queue', () => {
  it('sends a lone charge at once', async () => {
    const { queue, batches, turn, answer } = queueWith();
    const outcome = queue.send(charge('a'));
    await turn();
    expect(batches).toEqual([['a']]);
    await answer();
    expect(await outcome).toMatchObject({ code: 'OK' });
  });

  it('refuses at once while the batch ahead is stuck, and charges again when it is not', async () => {
    let nowMs = 0;
    const { queue, turn, answer } = queueWith({ nowMs: () => nowMs });
    const stuck = queue.send(charge('a'));
    await turn();
    nowMs = 5_000;
    const waiting = queue.send(charge('b'));
    nowMs = 5_001;
    await expect(queue.send(charge('c'))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await answer();
    const again = queue.send(charge('c'));
    await answer();
    await answer();
    expect(await Promise.all([stuck, waiting, again])).toMatchObject(Array(3).fill({ code: 'OK' }));
  });

  it('puts what arrives while a batch is under way into the next one', async () => {
    const { queue, batches, turn, answer } = queueWith();
    const outcomes = [queue.send(charge('a'))];
    await turn();
    outcomes.push(queue.send(charge('b')), queue.send(charge('c')));
    await answer();
    await answer();
    expect(batches).toEqual([['a'], ['b', 'c']]);
    expect(await Promise.all(outcomes)).toHaveLength(3);
  });

  it('hands the next batch over before it answers the one before', async () => {
    const { queue, batches, turn, answer } = queueWith();
    const sentByThen = queue.send(charge('a')).then(() => batches.length);
    await turn();
    const later = queue.send(charge('b'));
    await answer();
    expect(await sentByThen).toBe(2);
    await answer();
    expect(await later).toMatchObject({ code: 'OK' });
  });

  it('lets the next batch follow early once it is as large as the one under way, and no third', async () => {
    const { queue, batches, turn, answer } = queueWith({ inOrder: true });
    const outcomes: Promise<QueuedOutcome>[] = [];
    const send = async (count: number) => {
      for (let sent = 0; sent < count; sent += 1) {
        outcomes.push(queue.send(charge(`${outcomes.length}`)));
      }
      await turn();
    };
    const sizes = () => batches.map(({ length }) => length);
    await send(1);
    // Too few to be worth a batch.
    await send(15);
    expect(sizes()).toEqual([1]);
    await send(1);
    expect(sizes()).toEqual([1, 16]);
    await send(40);
    expect(sizes()).toEqual([1, 16]);
    await answer();
    expect(sizes()).toEqual([1, 16, 40]);
    await send(39);
    await answer();
    // As many as the batch that is still under way, or it waits for that one's answer.
    expect(sizes()).toEqual([1, 16, 40]);
    await send(1);
    expect(sizes()).toEqual([1, 16, 40, 40]);
    await answer();
    await answer();
    expect(await Promise.all(outcomes)).toHaveLength(97);
  });

  it('lets no lane overtake what all lanes sent together', async () => {
    const { queue, batches, turn, answer } = queueWith({ lanes: 2, together: 20, inOrder: true });
    const many = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) =>
        queue.send(charge(`${from + index}`, WALLET.replace(/0$/, String(index % 2)))),
      );
    const outcomes = many(0, 2);
    await turn();
    outcomes.push(...many(2, 60));
    await turn();
    expect(batches.map(({ length }) => length)).toEqual([2]);
    await answer();
    expect(batches.map(({ length }) => length)).toEqual([2, 30, 30]);
    await answer();
    await answer();
    expect(await Promise.all(outcomes)).toHaveLength(62);
  });

  it('never puts one key of one wallet twice into a batch, and answers both', async () => {
    const { queue, batches, answer } = queueWith();
    const other = '11111111-1111-4111-8111-111111111111';
    const outcomes = [
      queue.send(charge('a')),
      queue.send(charge('a')),
      queue.send(charge('a', other)),
    ];
    await answer();
    await answer();
    expect(batches).toEqual([['a', 'a'], ['a']]);
    expect(await Promise.all(outcomes)).toHaveLength(3);
  });

  it('bounds a batch', async () => {
    const { queue, batches, answer } = queueWith({ maxBatch: 2 });
    const outcomes = ['a', 'b', 'c'].map((key) => queue.send(charge(key)));
    await answer();
    await answer();
    await Promise.all(outcomes);
    expect(batches).toEqual([['a', 'b'], ['c']]);
  });

  it('lets a few go together, and many by lanes, which do not wait for each other', async () => {
    const { queue, batches, answer } = queueWith({ lanes: 2, together: 2 });
    // Dealt out by the last digits.
    const other = WALLET.replace(/0$/, '1');
    const few = [queue.send(charge('a')), queue.send(charge('b', other))];
    await answer();
    const many = [queue.send(charge('c')), queue.send(charge('d', other)), queue.send(charge('e'))];
    // The first lane is answered; the second is still under way.
    await answer();
    many.push(queue.send(charge('f', other)), queue.send(charge('g')));
    await answer();
    await answer();
    await answer();
    expect(batches).toEqual([['a', 'b'], ['c', 'e'], ['d'], ['g'], ['f']]);
    expect(await Promise.all([...few, ...many])).toHaveLength(7);
  });

  it('turns callers away with OVERLOADED when too many wait', async () => {
    const { queue, answer } = queueWith({ maxWaiting: 2 });
    const outcomes = [queue.send(charge('a')), queue.send(charge('b'))];
    await expect(queue.send(charge('c'))).rejects.toMatchObject({
      code: 'OVERLOADED',
      retryAfterSeconds: 1,
    });
    await answer();
    expect(await Promise.all(outcomes)).toHaveLength(2);
  });

  it('repeats a batch that a deadlock chose to give way', async () => {
    let tries = 0;
    const { queue } = queueWith({
      apply: async (charges) => {
        tries += 1;
        if (tries < 3) {
          throw 'deadlock';
        }
        return charges.map((_, index) => accepted(index));
      },
    });
    expect(await queue.send(charge('a'))).toMatchObject({ code: 'OK' });
    expect(tries).toBe(3);
  });

  it('does not let one bad charge fail the others of its batch', async () => {
    const { queue } = queueWith({
      apply: async (charges) => {
        if (charges.some(({ key }) => key === 'bad')) {
          throw 'cannot be stored';
        }
        return charges.map((_, index) => accepted(index));
      },
    });
    const outcomes = await Promise.allSettled(
      ['a', 'bad', 'c'].map((key) => queue.send(charge(key))),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('fails every charge of a batch when the database is out, and works again after', async () => {
    let out = true;
    const { queue } = queueWith({
      apply: async (charges) => {
        if (out) {
          throw 'outage';
        }
        return charges.map((_, index) => accepted(index));
      },
    });
    const outcomes = await Promise.allSettled(['a', 'b'].map((key) => queue.send(charge(key))));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    out = false;
    expect(await queue.send(charge('a'))).toMatchObject({ code: 'OK' });
  });
});
