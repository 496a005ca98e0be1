import { Cron } from 'croner';
import type { Clock } from './clock.ts';

/**
 * When a cron fires next after `afterMs`; null when never. An expression may begin with
 * `TZ=Area/City`; without it the zone is UTC. Throws on an expression or a zone that is not valid.
 */
export function nextFire(expression: string, afterMs: number): number | null {
  const match = /^(?:TZ=(\S+)\s+)?(\S+(?:\s+\S+){4})$/.exec(expression.trim());
  if (!match?.[2]) throw new Error(`"${expression}" is not a cron of five fields`);
  const cron = new Cron(match[2], { timezone: match[1] ?? 'UTC', paused: true });
  return cron.nextRun(new Date(afterMs))?.getTime() ?? null;
}

interface Entry {
  functionId: string;
  expression: string;
}

/** Keeps the crons of the registered functions armed. */
export class CronTable {
  readonly #armed = new Map<string, () => void>();

  constructor(
    private readonly clock: Clock,
    private readonly fire: (functionId: string, expression: string, dueMs: number) => void,
  ) {}

  /** Replaces the entries. Those that were there already keep their place in time. */
  set(entries: readonly Entry[]): void {
    const wanted = new Map(entries.map((entry) => [JSON.stringify(entry), entry]));
    for (const [key, cancel] of this.#armed) {
      if (!wanted.has(key)) {
        cancel();
        this.#armed.delete(key);
      }
    }
    for (const [key, entry] of wanted) {
      if (!this.#armed.has(key)) this.#arm(key, entry);
    }
  }

  #arm(key: string, entry: Entry): void {
    const dueMs = nextFire(entry.expression, this.clock.now());
    if (dueMs === null) return;
    const cancel = this.clock.schedule(dueMs, () => {
      // Armed again first, from now and not from when it was due: a machine that slept through
      // several occasions fires once.
      this.#arm(key, entry);
      this.fire(entry.functionId, entry.expression, dueMs);
    });
    this.#armed.set(key, cancel);
  }
}
