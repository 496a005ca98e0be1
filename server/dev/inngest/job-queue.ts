import { valueAt } from './registration.ts';
import type { Run } from './run.ts';

/** One request that is to be made: the function itself or one of its planned steps. */
export interface Job {
  run: Run;
  stepId: string;
  /** 0 for the first. */
  attempt: number;
}

/** Requests under way at once, over all functions. */
const REQUESTS_AT_ONCE = 20;

/**
 * Jobs that are due, started in order as far as the concurrency limits of their functions allow.
 * Limits count requests under way, not runs: a run that sleeps or waits holds no place.
 */
export class JobQueue {
  readonly #due: { job: Job; places: Place[] }[] = [];
  #executing = 0;
  readonly #taken = new Map<string, number>();
  #paused = false;
  #reachable = true;

  /** `start` never rejects; `changed` is called when a request has ended or nothing could start. */
  constructor(
    private readonly start: (job: Job) => Promise<void>,
    private readonly changed: () => void,
  ) {}

  push(job: Job): void {
    this.#due.push({ job, places: placesOf(job) });
    this.#pump();
  }

  set paused(paused: boolean) {
    this.#paused = paused;
    this.#pump();
  }

  /** False keeps all jobs until the application answers again. */
  set reachable(reachable: boolean) {
    this.#reachable = reachable;
    this.#pump();
  }

  /** True when no request is under way and none could start now. */
  get idle(): boolean {
    return this.#executing === 0 && (this.#due.length === 0 || this.#paused || !this.#reachable);
  }

  #pump(): void {
    let index = 0;
    while (this.#mayStart && index < this.#due.length) {
      const entry = this.#due[index];
      if (!entry || this.#isFull(entry.places)) {
        index += 1;
        continue;
      }
      this.#due.splice(index, 1);
      void this.#run(entry.job, entry.places);
    }
    this.changed();
  }

  get #mayStart(): boolean {
    return !this.#paused && this.#reachable && this.#executing < REQUESTS_AT_ONCE;
  }

  async #run(job: Job, places: Place[]): Promise<void> {
    this.#executing += 1;
    for (const { key } of places) this.#taken.set(key, (this.#taken.get(key) ?? 0) + 1);
    await this.start(job);
    this.#executing -= 1;
    for (const { key } of places) {
      const left = (this.#taken.get(key) ?? 1) - 1;
      if (left === 0) this.#taken.delete(key);
      else this.#taken.set(key, left);
    }
    this.#pump();
  }

  #isFull(places: Place[]): boolean {
    return places.some(({ key, limit }) => (this.#taken.get(key) ?? 0) >= limit);
  }
}

/** What a job takes up under one concurrency limit of its function. */
interface Place {
  key: string;
  limit: number;
}

function placesOf({ run }: Job): Place[] {
  return run.fn.limits.map(({ limit, keyPath }, index) => {
    const value = keyPath === null ? null : valueAt(run.event, keyPath);
    return { key: JSON.stringify([run.fn.id, index, value]), limit };
  });
}
