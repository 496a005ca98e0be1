/**
 * The attempt to top up that a person is in the middle of.
 *
 * Its key is made in the page and kept for the tab, so that a reload, a second press or a lost
 * answer is the same attempt to the server and is paid once. Another amount is another attempt.
 */

export interface TopUpAttempt {
  key: string;
  /** In the currency's own decimals: `25.00`. */
  amount: string;
  /** Known once the server has answered. */
  topUpId: string | null;
}

export type AttemptStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export interface Attempts {
  current(): TopUpAttempt | null;
  /** The attempt for this amount: the one under way, or a new one with a key of its own. */
  of(amount: string): TopUpAttempt;
  /** Keeps which top-up the server made of the attempt. */
  started(topUpId: string): void;
  /** Ends the attempt, but only if it is the one of that top-up. */
  ended(topUpId: string): void;
  /** Gives the attempt up whatever became of it; only right when it cannot have been paid. */
  abandon(): void;
}

/** The attempts of one wallet in one tab. */
export function topUpAttempts(
  walletId: string,
  storage: AttemptStorage,
  makeKey: () => string = () => crypto.randomUUID(),
): Attempts {
  const name = `top-up-attempt:${walletId}`;
  const save = (attempt: TopUpAttempt) => storage.setItem(name, JSON.stringify(attempt));
  const current = () => parseAttempt(storage.getItem(name));
  return {
    current,
    of(amount) {
      const known = current();
      if (known?.amount === amount) return known;
      const attempt = { key: makeKey(), amount, topUpId: null };
      save(attempt);
      return attempt;
    },
    started(topUpId) {
      const attempt = current();
      if (attempt !== null) save({ ...attempt, topUpId });
    },
    ended(topUpId) {
      if (current()?.topUpId === topUpId) storage.removeItem(name);
    },
    abandon() {
      storage.removeItem(name);
    },
  };
}

function parseAttempt(text: string | null): TopUpAttempt | null {
  if (text === null) return null;
  try {
    const { key, amount, topUpId } = JSON.parse(text);
    const isValid = typeof key === 'string' && typeof amount === 'string';
    return isValid ? { key, amount, topUpId: typeof topUpId === 'string' ? topUpId : null } : null;
  } catch {
    return null;
  }
}

const memory = new Map<string, string>();

/** The tab's storage; where the browser forbids it, memory that lasts until a reload. */
export function tabStorage(): AttemptStorage {
  try {
    return window.sessionStorage;
  } catch {
    return {
      getItem: (name) => memory.get(name) ?? null,
      setItem: (name, value) => void memory.set(name, value),
      removeItem: (name) => void memory.delete(name),
    };
  }
}
