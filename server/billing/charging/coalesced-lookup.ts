/**
 * Coalesces concurrent look-ups: what is asked for while a query is on its way goes into the next
 * one. Nothing is remembered, so each answer is at least as new as its question.
 */

/** The most keys in one query. */
const MAX_KEYS = 500;

interface Waiting<Key, Value> {
  readonly key: Key;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Looks keys up by `load`, which answers each key, in order. When it throws, everyone who waited
 * for that query hears its error.
 */
export function coalescedLookup<Key, Value>(
  load: (keys: readonly Key[]) => Promise<Value[]>,
): (key: Key) => Promise<Value> {
  const waiting: Waiting<Key, Value>[] = [];
  let busy = false;

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      await answer(waiting.splice(0, MAX_KEYS));
    }
    busy = false;
  }

  async function answer(asked: readonly Waiting<Key, Value>[]): Promise<void> {
    try {
      const values = await load(asked.map(({ key }) => key));
      if (values.length !== asked.length) {
        throw new Error(`${asked.length} keys were looked up and ${values.length} answered`);
      }
      for (const [index, value] of values.entries()) {
        asked[index]?.resolve(value);
      }
    } catch (error) {
      for (const { reject } of asked) {
        reject(error);
      }
    }
  }

  return (key) =>
    new Promise((resolve, reject) => {
      waiting.push({ key, resolve, reject });
      if (!busy) {
        busy = true;
        // Whatever else is asked for in this turn of the event loop goes along.
        setImmediate(() => void run());
      }
    });
}
