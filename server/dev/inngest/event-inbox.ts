import { createHash, randomUUID } from 'node:crypto';
import type { z } from 'zod';
import {
  EVENT_BYTES,
  EVENT_MEMORY_MS,
  EVENTS_PER_REQUEST,
  type eventsInput,
  type InngestEvent,
} from './protocol.ts';

/**
 * Makes events of what a client sent, or says what is wrong with it. The SDK sends a seed that stays
 * the same while it retries a request, so that ids made here are the same each time too.
 */
export function readEvents(
  input: z.infer<typeof eventsInput>,
  seed: string | undefined,
  nowMs: number,
): { ok: true; events: InngestEvent[] } | { ok: false; problem: string } {
  if (input.length > EVENTS_PER_REQUEST) {
    return { ok: false, problem: `more than ${EVENTS_PER_REQUEST} events in one request` };
  }
  const events: InngestEvent[] = [];
  for (const [index, each] of input.entries()) {
    if (each.name.startsWith('inngest/')) {
      return { ok: false, problem: `the event name "${each.name}" is reserved` };
    }
    if (Buffer.byteLength(JSON.stringify(each)) > EVENT_BYTES) {
      return { ok: false, problem: `an event "${each.name}" is larger than 256 KiB` };
    }
    const made = seed === undefined ? randomUUID() : digest(`${seed}:${index}`);
    events.push({
      ...each,
      id: each.id || made,
      data: each.data ?? {},
      ts: each.ts ?? nowMs,
      v: each.v ?? undefined,
    });
  }
  return { ok: true, events };
}

/** Passes each event on once, as far as its id is remembered, and keeps events until it is open. */
export class EventInbox {
  readonly #seenAtMs = new Map<string, number>();
  #held: InngestEvent[] | null = [];

  constructor(
    private readonly now: () => number,
    private readonly pass: (event: InngestEvent) => void,
  ) {}

  /** Events are waiting for the first registration of functions. */
  get holding(): boolean {
    return this.#held !== null && this.#held.length > 0;
  }

  accept(events: readonly InngestEvent[]): void {
    this.#forget();
    for (const event of events) {
      if (this.#seenAtMs.has(event.id)) continue;
      this.#seenAtMs.set(event.id, this.now());
      if (this.#held) this.#held.push(event);
      else this.pass(event);
    }
  }

  /** From now on events pass at once; those that were held go first. */
  open(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of held) this.pass(event);
  }

  #forget(): void {
    for (const [id, seenAtMs] of this.#seenAtMs) {
      if (this.now() - seenAtMs < EVENT_MEMORY_MS) return;
      this.#seenAtMs.delete(id);
    }
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
