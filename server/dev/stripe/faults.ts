import { type CardBehaviour, chargeDecline, type Decline } from './cards.ts';

/** What may go wrong with the answer to a call of the API. */
export type ApiFault =
  /** The call is carried out and its answer kept, but 500 is answered. */
  | 'error_after_commit'
  /** The call is carried out and its answer kept, but the connection is cut. */
  | 'cut_after_commit'
  /** The call is carried out and its answer kept, but none comes: the caller's patience ends it. */
  | 'hang_after_commit'
  /** 500 is answered and nothing is carried out. */
  | 'error_before_commit'
  /** 429 is answered and nothing is carried out. */
  | 'rate_limit'
  /** 400 is answered and nothing is carried out: the same call again would be refused again. */
  | 'refused';

/** What may go wrong with a webhook on its way. */
export type DeliveryFault = 'duplicate' | 'delay' | 'reorder' | 'drop';

interface ApiRule {
  fault: ApiFault;
  remaining: number;
  pathPrefix: string | undefined;
}

export interface DeliveryRule {
  fault: DeliveryFault;
  remaining: number;
  eventType: string | undefined;
  delayMs: number;
}

/** Faults that were asked for and have not happened yet. They do not outlive the process. */
export class Faults {
  #api: ApiRule[] = [];
  #deliveries: DeliveryRule[] = [];
  #declines: Decline[] = [];

  /** The next `count` writing calls whose path starts with `pathPrefix` meet the fault. */
  addApi(fault: ApiFault, options: { count?: number; pathPrefix?: string } = {}): void {
    this.#api.push({ fault, remaining: options.count ?? 1, pathPrefix: options.pathPrefix });
  }

  takeApi(path: string): ApiFault | undefined {
    const rule = this.#api.find(
      (candidate) => candidate.pathPrefix === undefined || path.startsWith(candidate.pathPrefix),
    );
    if (!rule) return undefined;
    rule.remaining -= 1;
    if (rule.remaining <= 0) this.#api = this.#api.filter((candidate) => candidate !== rule);
    return rule.fault;
  }

  /** The next `count` deliveries (of `eventType`, when given) meet the fault. */
  addDelivery(
    fault: DeliveryFault,
    options: { count?: number; eventType?: string; delayMs?: number } = {},
  ): void {
    this.#deliveries.push({
      fault,
      remaining: options.count ?? (fault === 'reorder' ? 2 : 1),
      eventType: options.eventType,
      delayMs: options.delayMs ?? 2000,
    });
  }

  takeDelivery(eventType: string): DeliveryRule | undefined {
    const rule = this.#deliveries.find(
      (candidate) => candidate.eventType === undefined || candidate.eventType === eventType,
    );
    if (!rule) return undefined;
    rule.remaining -= 1;
    if (rule.remaining <= 0) {
      this.#deliveries = this.#deliveries.filter((candidate) => candidate !== rule);
    }
    return rule;
  }

  /** The next payment is declined whatever its card. */
  addDecline(behaviour: CardBehaviour = 'generic_decline'): void {
    const decline = chargeDecline(behaviour);
    if (!decline) throw new RangeError(`${behaviour} is not a decline`);
    this.#declines.push(decline);
  }

  takeDecline(): Decline | undefined {
    return this.#declines.shift();
  }

  clear(): void {
    this.#api = [];
    this.#deliveries = [];
    this.#declines = [];
  }
}
