/**
 * Keeps a reply that was cut off from spoiling the next one. postgres.js 3.4.9 counts the rows of a
 * reply and forgets to start again when the connection dies in the middle of it: the first reply on
 * the next connection then begins with as many holes as rows had come. `const [row]` would read "no
 * such row" where there is one. All rows are there behind the holes, so that taking these out is
 * exact.
 */

/** What a query of postgres.js has besides its types. */
interface Query {
  executed: boolean;
  resolve(result: unknown): void;
  handle(): unknown;
}

let isGuarded = false;

/** Guards every query of this process, whichever client makes it; `query` is any of them. */
export function guardAgainstTornReplies(query: object): void {
  if (isGuarded) {
    return;
  }
  isGuarded = true;
  const prototype = Object.getPrototypeOf(query) as Query;
  const { handle } = prototype;
  prototype.handle = function guarded(this: Query) {
    if (!this.executed) {
      const { resolve } = this;
      this.resolve = (result) => resolve(withoutHoles(result));
    }
    return handle.call(this);
  };
}

function withoutHoles(result: unknown): unknown {
  if (Array.isArray(result) && result.length > 0 && !(0 in result)) {
    const first = result.findIndex((_, index) => index in result);
    result.splice(0, first === -1 ? result.length : first);
  }
  return result;
}
