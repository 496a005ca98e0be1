/** `npm run ledger -- verify` and `rebuild`: the ledger, range by range, several at once. */
import {
  EVERY_WALLET,
  historyParts,
  type LedgerDifference,
  type RebuildDifference,
  type ReplayedPart,
  rebuildRange,
  replayPart,
  verifyRange,
  type WalletRange,
  walletRanges,
} from '../store/ledger.ts';
import type { Sql } from '../store/sql.ts';
import type { Output } from './output.ts';

/**
 * Verification reads by an index, ranges of wallets and parts of long histories: small ones keep all
 * connections busy to the end, and what is found of one fits the database's memory.
 */
const EVENTS_VERIFIED = 50_000;
/** For a range of this many events the rebuild does not mind going through all events. */
const LEAST_EVENTS_REBUILT = 50_000;
/** Whatever more there is, is counted only. */
const LIST_AT_MOST = 1_000;

interface CheckOptions {
  readonly walletId: string | null;
  readonly json: boolean;
}

/**
 * Replays every event, about `eventsAtOnce` in one statement. Exit code 1 when there are differences,
 * or no such wallet.
 */
export async function verifyLedger(
  sql: Sql,
  { walletId, json }: CheckOptions,
  output: Output,
  eventsAtOnce = EVENTS_VERIFIED,
): Promise<number> {
  const startedAt = performance.now();
  const total = { wallets: 0n, events: 0n, found: 0n };
  const differences: LedgerDifference[] = [];
  const replayed = await replayLongHistories(sql, walletId, eventsAtOnce);
  const size = { atMost: 1_000_000, leastEvents: eventsAtOnce, longEvents: eventsAtOnce };
  await forEachRange(sql, walletId, size, async (range) => {
    const part = await verifyRange(sql, range, LIST_AT_MOST, replayed.get(range.from));
    total.wallets += part.wallets;
    total.events += part.events;
    total.found += part.found;
    differences.push(...part.differences.slice(0, LIST_AT_MOST - differences.length));
  });
  if (walletId !== null && total.wallets === 0n && total.events === 0n) {
    return unknownWallet(walletId, output);
  }
  await report(output, json, startedAt, total, sorted(differences));
  return total.found === 0n ? 0 : 1;
}

/** Computes the wallets anew. Exit code 1 when a difference is left, or no such wallet is there. */
export async function rebuildLedger(
  sql: Sql,
  { walletId, json, dryRun }: CheckOptions & { readonly dryRun: boolean },
  output: Output,
): Promise<number> {
  const startedAt = performance.now();
  const total = { wallets: 0n, events: 0n, found: 0n, repaired: 0n };
  const differences: RebuildDifference[] = [];
  // Each range is another pass over the table.
  const size = { atMost: sql.options.max, leastEvents: LEAST_EVENTS_REBUILT };
  await forEachRange(sql, walletId, size, async (range) => {
    const part = await rebuildRange(sql, range, !dryRun);
    total.wallets += part.wallets;
    total.events += part.events;
    total.found += BigInt(part.differences.length);
    total.repaired += BigInt(part.differences.filter(({ repaired }) => repaired).length);
    differences.push(...part.differences.slice(0, LIST_AT_MOST - differences.length));
  });
  if (walletId !== null && total.wallets === 0n && total.events === 0n) {
    return unknownWallet(walletId, output);
  }
  await report(output, json, startedAt, total, sorted(differences));
  return total.found === total.repaired ? 0 : 1;
}

/**
 * Replays long histories in parts, so that no connection is left alone with one of them. Returns the
 * parts of each wallet.
 */
async function replayLongHistories(
  sql: Sql,
  walletId: string | null,
  partEvents: number,
): Promise<Map<string, ReplayedPart[]>> {
  const range = walletId === null ? EVERY_WALLET : { from: walletId, to: walletId };
  const parts = await historyParts(sql, range, partEvents);
  const replayed = new Map<string, ReplayedPart[]>();
  await forEach(sql, parts, async (part) => {
    const found = await replayPart(sql, part);
    if (found !== null) {
      replayed.set(part.walletId, [...(replayed.get(part.walletId) ?? []), found]);
    }
  });
  return replayed;
}

async function forEachRange(
  sql: Sql,
  walletId: string | null,
  size: Omit<Parameters<typeof walletRanges>[1], 'lanes'>,
  work: (range: WalletRange) => Promise<void>,
): Promise<void> {
  const ranges =
    walletId === null
      ? await walletRanges(sql, { ...size, lanes: sql.options.max })
      : [{ from: walletId, to: walletId }];
  await forEach(sql, ranges, work);
}

/** Works on all items, as many at once as there are connections. */
async function forEach<Item>(
  sql: Sql,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  // The lanes take their items from one iterator.
  const queue = items.values();
  const lanes = Array.from({ length: sql.options.max }, async () => {
    for (const item of queue) {
      await work(item);
    }
  });
  await Promise.all(lanes);
}

interface Total {
  readonly wallets: bigint;
  readonly events: bigint;
  readonly found: bigint;
  readonly repaired?: bigint;
}

type Difference = LedgerDifference | RebuildDifference;

async function report(
  output: Output,
  json: boolean,
  startedAt: number,
  total: Total,
  differences: readonly Difference[],
): Promise<void> {
  const durationMs = Math.round(performance.now() - startedAt);
  if (json) {
    const counts = Object.entries(total).map(([name, count]) => [name, Number(count)]);
    await output.out(
      `${JSON.stringify({ ...Object.fromEntries(counts), differences, durationMs })}\n`,
    );
    return;
  }
  for (const difference of differences) {
    await output.out(`${describe(difference)}\n`);
  }
  if (total.found > differences.length) {
    await output.out(`… and ${total.found - BigInt(differences.length)} more\n`);
  }
  const repaired = total.repaired === undefined ? '' : `, ${total.repaired} repaired`;
  await output.out(
    `${total.events} events of ${total.wallets} wallets checked in ${(durationMs / 1000).toFixed(1)} s: ${total.found} differences found${repaired}\n`,
  );
}

function describe(difference: Difference): string {
  const event = 'seq' in difference && difference.seq !== null ? ` event ${difference.seq}` : '';
  const repaired = 'repaired' in difference && difference.repaired ? ' (repaired)' : '';
  return `${difference.walletId}${event}  ${difference.problem}  ${difference.message}${repaired}`;
}

function sorted<T extends Difference>(differences: readonly T[]): T[] {
  return differences.toSorted((a, b) =>
    a.walletId < b.walletId ? -1 : Number(a.walletId > b.walletId),
  );
}

async function unknownWallet(walletId: string, output: Output): Promise<number> {
  await output.err(`There is no wallet ${walletId}.\n`);
  return 1;
}
