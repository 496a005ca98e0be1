/**
 * `npm run bench:rate-card`: how long a card of 100,000 prefixes takes to import, to export, to read
 * into a server and to look up, and the memory that it fills there.
 */
import { randomUUID } from 'node:crypto';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { createRateCards } from '../../billing/rate-cards/rate-cards.ts';
import { defaultRateCard } from '../../rating/default-rate-card.ts';
import { findRule } from '../../rating/rate-card.ts';
import { migrate } from '../../store/migrate.ts';
import { APP_ROLE, connect } from '../../store/sql.ts';
import { startTemporaryPostgres } from '../temporary-postgres.ts';

const PREFIXES = 100_000;
const LOOKUPS = 1_000_000;
const ACTOR = 'system:bench';
const NANOSECONDS_PER_MS = 1e6;

/** Prefixes of five to seven digits, no two alike. */
const prefixes = Array.from({ length: PREFIXES }, (_, index) => `${10_000 + index * 41}`);

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const startMs = performance.now();
  const result = await work();
  const tookMs = performance.now() - startMs;
  delay.disable();
  const stallMs = delay.max / NANOSECONDS_PER_MS;
  console.log(`${what.padEnd(24)} ${tookMs.toFixed(0)} ms, longest stall ${stallMs.toFixed(0)} ms`);
  return result;
}

function heapMegabytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1e6;
}

const postgres = await startTemporaryPostgres();
try {
  const url = postgres.ownerUrl('postgres');
  await migrate({ url });
  const sql = connect(url, { role: APP_ROLE });
  try {
    const { drafts, rules } = createRateCards({ sql, nowMs: Date.now });
    const id = randomUUID();
    await drafts.create({ id, basedOn: defaultRateCard.id }, ACTOR);
    const lines = prefixes.map((prefix, index) => `call,${prefix},0.${10_000 + index},60,6`);
    const csv = ['type,prefix,price_usd,initial_seconds,next_seconds', ...lines].join('\n');

    const imported = await timed('import', () =>
      drafts.importCsv(id, { csv, mode: 'merge' }, ACTOR),
    );
    if (!imported.ok) throw new Error(imported.message);
    await timed('export', async () => {
      let bytes = 0;
      for await (const piece of rules.csv(id, 'USD')) bytes += piece.length;
      return bytes;
    });
    const beforeMegabytes = heapMegabytes();
    const card = await timed('read into a server', () => drafts.compiled(id));
    if (card === null) throw new Error('the draft is gone');
    console.log(`memory                   ${(heapMegabytes() - beforeMegabytes).toFixed(0)} MB`);

    const numbers = prefixes.map((prefix) => `${prefix}5550100`);
    const startMs = performance.now();
    for (let index = 0; index < LOOKUPS; index += 1) {
      if (findRule(card, 'call', numbers[index % PREFIXES] ?? '') === undefined) {
        throw new Error('a prefix is not found');
      }
    }
    const eachMicroseconds = ((performance.now() - startMs) * 1_000) / LOOKUPS;
    console.log(`look-up                  ${eachMicroseconds.toFixed(2)} µs`);
  } finally {
    await sql.end({ timeout: 1 });
  }
} finally {
  await postgres.stop();
}
