/**
 * What a statement says, added up from its events: the twin of the SQL functions
 * `statement_movement` and `statement_sums`, so that a statement can be verified without the
 * database.
 */
import type { WalletEvent } from './events.ts';
import type { StoredEvent } from './hash.ts';

/** The sums of a statement: what moved the balance, signed as it did. */
export const movements = ['topUps', 'grants', 'usage', 'fees', 'refunds', 'other'] as const;
export type Movement = (typeof movements)[number];

/** Usage of one type: how often, how many of its units, and what it cost. */
export interface StatementLine {
  readonly type: string;
  readonly count: number;
  readonly units: number;
  readonly amountMicros: bigint;
}

/** A recurring fee, by its name and the month that it is for. */
export interface StatementFee {
  readonly description: string;
  /** `YYYY-MM`. */
  readonly period: string;
  /** What was taken, and what is owed. */
  readonly amountMicros: bigint;
}

/** The figures of a statement that its events make. */
export interface StatementFigures {
  readonly openingBalanceMicros: bigint;
  readonly closingBalanceMicros: bigint;
  readonly topUpsMicros: bigint;
  readonly grantsMicros: bigint;
  readonly usageMicros: bigint;
  readonly feesMicros: bigint;
  readonly refundsMicros: bigint;
  readonly otherMicros: bigint;
  /** Owed at the end. */
  readonly arrearsMicros: bigint;
  readonly lines: readonly StatementLine[];
  /** What a deferred wallet reserved in the period, which is deducted in the next. */
  readonly accruedMicros: bigint;
  readonly accruedLines: readonly StatementLine[];
  /**
   * The part of the usage of both that occurred before the period began: it was recorded after its
   * own month was over. Null where the statement does not say.
   */
  readonly lateLines: readonly StatementLine[] | null;
}

const movementOfType: Readonly<Record<WalletEvent['type'], Movement>> = {
  top_up: 'topUps',
  grant: 'grants',
  // What was granted and ended unspent was never anything else.
  grant_expired: 'grants',
  charge: 'usage',
  accrual_settled: 'usage',
  hold_captured: 'usage',
  hold_expired: 'usage',
  fee: 'fees',
  usage_refund: 'refunds',
  payment_refund: 'refunds',
  payment_refund_failed: 'refunds',
  dispute_withdrawn: 'refunds',
  dispute_reinstated: 'refunds',
  accrual: 'other',
  arrears_demanded: 'other',
  arrears_repaid: 'other',
  dispute_closed: 'other',
  dispute_opened: 'other',
  goodwill: 'other',
  hold_extended: 'other',
  hold_placed: 'other',
  hold_voided: 'other',
  limits_changed: 'other',
  subscription_added: 'other',
  subscription_ended: 'other',
  wallet_closed: 'other',
  wallet_frozen: 'other',
  wallet_opened: 'other',
  wallet_unfrozen: 'other',
};

/** The sum that a type of event belongs to; a type that is not known here moves `other`. */
function movementOf(type: string): Movement {
  return isKnown(type) ? movementOfType[type] : 'other';
}

function isKnown(type: string): type is WalletEvent['type'] {
  return Object.hasOwn(movementOfType, type);
}

/** What an event's detail says of usage. */
export interface ToldUsage {
  /** `other` when it does not say. */
  readonly type: string;
  readonly units: number;
  /** It says what was used. */
  readonly told: boolean;
  /** It says what had been billed before, and so corrects usage that was counted. */
  readonly corrects: boolean;
}

/** Reads it from the detail's text. Throws a SyntaxError when that is not JSON. */
export function toldUsage(detailText: string): ToldUsage {
  const { usage, units, alreadyBilledMicros } = fieldsOf(JSON.parse(detailText));
  const { type } = fieldsOf(usage);
  return {
    type: typeof type === 'string' ? type : 'other',
    units: typeof units === 'number' ? units : 0,
    told: (usage ?? null) !== null,
    corrects: (alreadyBilledMicros ?? null) !== null,
  };
}

/** Reads what a fee is for from the detail's text. Throws a SyntaxError when that is not JSON. */
function toldFee(detailText: string): Pick<StatementFee, 'description' | 'period'> {
  const { description, period } = fieldsOf(JSON.parse(detailText));
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return { description: text(description), period: text(period) };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

type SummedEvent = Pick<
  StoredEvent,
  | 'type'
  | 'balanceDeltaMicros'
  | 'heldDeltaMicros'
  | 'arrearsDeltaMicros'
  | 'balanceMicros'
  | 'arrearsMicros'
  | 'occurredAtMicroseconds'
  | 'detailText'
>;

/** Adds events up, in their order. Memory grows with the fees among them, not with the usage. */
export class StatementSums {
  readonly #startsAtMicroseconds: bigint | null;
  readonly #moved = new Map<Movement, bigint>();
  readonly #lines = new Map<string, StatementLine>();
  readonly #accruedLines = new Map<string, StatementLine>();
  readonly #lateLines = new Map<string, StatementLine>();
  readonly #fees: StatementFee[] = [];
  #openingBalanceMicros: bigint | null = null;
  #closingBalanceMicros = 0n;
  #arrearsMicros = 0n;
  #accruedMicros = 0n;

  /** Where the beginning of the period is not known (null), what came late is not told apart. */
  constructor(startsAt: Date | null) {
    this.#startsAtMicroseconds = startsAt === null ? null : BigInt(startsAt.getTime()) * 1_000n;
  }

  add(event: SummedEvent): void {
    const { type, balanceDeltaMicros, heldDeltaMicros, arrearsDeltaMicros } = event;
    this.#openingBalanceMicros ??= event.balanceMicros - balanceDeltaMicros;
    this.#closingBalanceMicros = event.balanceMicros;
    this.#arrearsMicros = event.arrearsMicros;
    const movement = movementOf(type);
    this.#moved.set(movement, (this.#moved.get(movement) ?? 0n) + balanceDeltaMicros);
    if (movement === 'fees') {
      const amountMicros = arrearsDeltaMicros - balanceDeltaMicros;
      this.#fees.push({ ...toldFee(event.detailText), amountMicros });
    }
    const usage = toldUsage(event.detailText);
    if (type === 'accrual') {
      this.#accruedMicros += heldDeltaMicros;
      this.#addUsage(this.#accruedLines, event, usage, heldDeltaMicros + arrearsDeltaMicros);
    } else if (type === 'charge' || (movement === 'usage' && usage.told)) {
      this.#addUsage(this.#lines, event, usage, arrearsDeltaMicros - balanceDeltaMicros);
    }
  }

  #addUsage(
    lines: Map<string, StatementLine>,
    { occurredAtMicroseconds }: SummedEvent,
    usage: ToldUsage,
    amountMicros: bigint,
  ): void {
    addToLine(lines, usage, amountMicros);
    if (
      this.#startsAtMicroseconds !== null &&
      occurredAtMicroseconds < this.#startsAtMicroseconds
    ) {
      addToLine(this.#lateLines, usage, amountMicros);
    }
  }

  /** The fees so far, in their order. */
  fees(): readonly StatementFee[] {
    return this.#fees;
  }

  /** The figures so far; null before the first event. */
  figures(): StatementFigures | null {
    if (this.#openingBalanceMicros === null) {
      return null;
    }
    const moved = (movement: Movement) => this.#moved.get(movement) ?? 0n;
    return {
      openingBalanceMicros: this.#openingBalanceMicros,
      closingBalanceMicros: this.#closingBalanceMicros,
      topUpsMicros: moved('topUps'),
      grantsMicros: moved('grants'),
      usageMicros: moved('usage'),
      feesMicros: moved('fees'),
      refundsMicros: moved('refunds'),
      otherMicros: moved('other'),
      arrearsMicros: this.#arrearsMicros,
      lines: sortedLines(this.#lines),
      accruedMicros: this.#accruedMicros,
      accruedLines: sortedLines(this.#accruedLines),
      lateLines: this.#startsAtMicroseconds === null ? null : sortedLines(this.#lateLines),
    };
  }
}

function addToLine(
  lines: Map<string, StatementLine>,
  { type, units, corrects }: ToldUsage,
  amountMicros: bigint,
): void {
  const line = lines.get(type);
  lines.set(type, {
    type,
    count: (line?.count ?? 0) + (corrects ? 0 : 1),
    units: (line?.units ?? 0) + units,
    amountMicros: (line?.amountMicros ?? 0n) + amountMicros,
  });
}

function sortedLines(lines: ReadonlyMap<string, StatementLine>): StatementLine[] {
  return [...lines.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
}
