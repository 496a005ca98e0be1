/**
 * A disturbance that tests can order. It happens `times` times (default 1), to the next in line or
 * to the next that `target` names: a function's id (with the app's prefix) or an event's name.
 */
export type Fault =
  /**
   * The application runs what it was asked to, but its reply, and the checkpoints on the way, never
   * arrive: the body of the step runs again. Costs an attempt, as any failed request does.
   */
  | { kind: 'lose-reply'; target?: string; times?: number }
  /** A request leaves only after this long. */
  | { kind: 'delay'; target?: string; delayMs: number; times?: number }
  /** An event is delivered twice, so that each of its functions runs twice. */
  | { kind: 'duplicate-event'; target?: string; times?: number };

/** The faults that were ordered and have not happened yet. */
export class FaultPlan {
  readonly #ordered: { fault: Fault; left: number }[] = [];

  order(fault: Fault): void {
    this.#ordered.push({ fault, left: fault.times ?? 1 });
  }

  /** Uses up one order of this kind that is meant for `target`. */
  take<Kind extends Fault['kind']>(
    kind: Kind,
    target: string,
  ): Extract<Fault, { kind: Kind }> | null {
    for (const [index, entry] of this.#ordered.entries()) {
      if (!isKind(entry.fault, kind)) continue;
      if (entry.fault.target !== undefined && entry.fault.target !== target) continue;
      entry.left -= 1;
      if (entry.left === 0) this.#ordered.splice(index, 1);
      return entry.fault;
    }
    return null;
  }
}

function isKind<Kind extends Fault['kind']>(
  fault: Fault,
  kind: Kind,
): fault is Extract<Fault, { kind: Kind }> {
  return fault.kind === kind;
}
