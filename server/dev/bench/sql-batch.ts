/** The SQL batch function alone: `charge_many` over connections of its own, parameters ready. */
import { randomBytes, randomUUID } from 'node:crypto';
import { chargeManyStatement, type QueuedCharge } from '../../store/charges.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { closedLoop, type LoadResult } from './load.ts';
import type { ChargeSample } from './sample.ts';
import { pick } from './traffic.ts';

export const BATCH = 500;
/** Batches that are made ready for each second: more than any machine applies. */
const BATCHES_PER_SECOND = 80;
/** Their parameters take half a megabyte each. */
const MOST_BATCHES = 320;

export interface SqlBatchOptions {
  readonly url: string;
  readonly sample: ChargeSample;
  /** Wallets to charge; those of one connection are never those of another. */
  readonly walletIds: readonly string[];
  readonly connections: number;
  readonly seconds: number;
  /** How many batches are made ready; by default enough for the time. */
  readonly batches?: number;
}

/**
 * Charges batches until the time or what was made ready runs out; a call is a batch.
 * @throws Error when a charge of a batch is not accepted
 */
export async function chargeBatches(options: SqlBatchOptions): Promise<LoadResult> {
  const { connections, seconds } = options;
  const enough = Math.max(10, Math.round(seconds * BATCHES_PER_SECOND));
  const batches = options.batches ?? Math.min(MOST_BATCHES, enough);
  const lanes: Statement[][] = [];
  for (let lane = 0; lane < connections; lane += 1) {
    const own = options.walletIds.filter((_, index) => index % connections === lane);
    const ready: Statement[] = [];
    for (let made = 0; made < batches / connections; made += 1) {
      ready.push(statementOf(batchOf(own, options.sample)));
    }
    lanes.push(ready);
  }
  const sql = connect(options.url, { max: connections });
  try {
    let lane = 0;
    return await closedLoop({
      callers: connections,
      seconds,
      async open() {
        const ready = lanes[lane] ?? [];
        lane += 1;
        await sql`select 1`;
        return {
          async call() {
            const statement = ready.pop();
            if (statement === undefined) {
              return 'finished';
            }
            const rows = await sql.unsafe<{ code: string }[]>(statement.text, statement.values, {
              prepare: true,
            });
            const refused = rows.find(({ code }) => code !== 'OK');
            if (refused !== undefined || rows.length !== BATCH) {
              throw new Error(`a batch was not accepted: ${rows.length} rows, ${refused?.code}`);
            }
            return 'called';
          },
          close: () => undefined,
        };
      },
    });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function batchOf(walletIds: readonly string[], sample: ChargeSample): QueuedCharge[] {
  return Array.from({ length: BATCH }, () => {
    const detail = JSON.parse(sample.detailText) as Record<string, unknown>;
    return {
      walletId: pick(walletIds),
      alone: true,
      key: randomUUID(),
      requestHash: randomBytes(32),
      amountMicros: sample.amountMicros,
      overrun: 'refuse',
      occurredAt: null,
      actor: sample.actor,
      detail: { ...detail, referenceId: randomUUID() },
    };
  });
}

type Parameter = string | bigint | number | boolean | null | Date | Uint8Array;

interface Statement {
  readonly text: string;
  readonly values: Parameter[];
}

/**
 * The statement that the store would send for a batch. Sent again and again by a row of the table,
 * it measures the database without the work of Node that makes its parameters.
 */
function statementOf(charges: readonly QueuedCharge[]): Statement {
  const record = (strings: TemplateStringsArray, ...values: (Parameter | Recorded)[]) =>
    new Recorded(strings, values);
  const recorded: unknown = chargeManyStatement(record as unknown as Sql, charges);
  if (!(recorded instanceof Recorded)) {
    throw new TypeError('the store made no statement');
  }
  const values: Parameter[] = [];
  return { text: recorded.write(values), values };
}

/** A tagged template as it came. */
class Recorded {
  readonly #strings: TemplateStringsArray;
  readonly #values: readonly (Parameter | Recorded)[];

  constructor(strings: TemplateStringsArray, values: readonly (Parameter | Recorded)[]) {
    this.#strings = strings;
    this.#values = values;
  }

  /** Its text with parameters $1, $2, …, whose values are put behind those given. */
  write(into: Parameter[]): string {
    let text = this.#strings[0] ?? '';
    for (const [index, value] of this.#values.entries()) {
      text += value instanceof Recorded ? value.write(into) : `$${into.push(value)}`;
      text += this.#strings[index + 1] ?? '';
    }
    return text;
  }
}
