/** Plays one chapter: load, fault, and then the journal against the ledger. */
import { join } from 'node:path';
import { usageKey } from '../../ledger/key.ts';
import { createCaller, FINAL } from './caller.ts';
import { openCast } from './cast.ts';
import type { Act, Chapter } from './chapters.ts';
import { RECOVERY_LIMIT_MS } from './chapters.ts';
import { check } from './check.ts';
import { type JournalEntry, openJournal, readJournal, type Write } from './journal.ts';
import { readWallets, verifyAll } from './ledger-of-wallets.ts';
import { settleRefused, startLoad } from './load.ts';
import type { Scene } from './scene.ts';

export interface Outcome {
  readonly notes: string[];
  /** What is wrong; empty when the chapter passed. */
  readonly failures: string[];
  readonly prefix: string;
  readonly journalPath: string;
  /** When no hold of the chapter is open any more, by `performance.now()`. */
  readonly holdsAreOverAtMs: number;
}

export interface PlayOptions {
  readonly seconds: number;
  readonly random: () => number;
  readonly short: boolean;
  /** How many calls of the chapter lose their switch. */
  readonly lostCalls: number;
}

const PROBE_TIMEOUT_MS = 30_000;
/** Of many findings the first tell enough. */
const LISTED = 10;

export async function play(chapter: Chapter, scene: Scene, options: PlayOptions): Promise<Outcome> {
  const notes: string[] = [];
  const failures: string[] = [];
  const journal = openJournal(join(scene.directory, `${chapter.name}.jsonl`));
  const cast = await openCast(scene.sql, journal, chapter.name);
  const apps = [...new Set([scene.app, scene.second])];
  const errorsBefore = (await Promise.all(apps.map((app) => app.errors()))).flat().length;
  const recoveriesMs: number[] = [];
  let probes = 0;

  const act: Act = {
    ...options,
    note: (text) => notes.push(text),
    fail: (text) => failures.push(text),
    async answersAgain(url, after) {
      const startedAtMs = performance.now();
      probes += 1;
      const write = probeOf(cast.probe, `probe-${probes}`);
      const caller = createCaller({
        urls: [url],
        apiKey: scene.apiKey,
        journal,
        deadlineMs: () => startedAtMs + PROBE_TIMEOUT_MS,
        timeoutMs: 1_000,
        pauseMs: 50,
      });
      const answers = await Promise.all([
        caller.perform([write], async ({ usage }) => [
          await usage.charge.mutate({
            userId: cast.probe,
            referenceId: write.reference,
            usage: { type: 'email', recipients: 1 },
          }),
        ]),
        caller.perform([], async ({ wallets }) => {
          await wallets.get.query({ userId: cast.probe });
          return [];
        }),
      ]);
      const tookMs = performance.now() - startedAtMs;
      recoveriesMs.push(tookMs);
      if (answers.includes(null) || tookMs > RECOVERY_LIMIT_MS) {
        failures.push(`answered ${inSeconds(tookMs)} after ${after}`);
      }
    },
  };

  const load = startLoad({
    urls: chapter.urls(scene),
    apiKey: scene.apiKey,
    journal,
    cast,
    sql: scene.sql,
    random: options.random,
    lostCalls: options.lostCalls,
  });
  try {
    await chapter.run(scene, act);
  } finally {
    await load.stop();
  }
  await settleRefused({
    urls: [scene.app.url],
    apiKey: scene.apiKey,
    journal,
    cast,
    sql: scene.sql,
    random: options.random,
  });
  journal.close();

  if (recoveriesMs.length > 0) {
    notes.push(`answered within ${inSeconds(Math.max(...recoveriesMs))}, each time`);
  }
  for (const app of apps) {
    if (!app.isAlive()) {
      failures.push('the application ended by itself');
    }
  }
  const errors = (await Promise.all(apps.map((app) => app.errors()))).flat();
  for (const line of errors.slice(errorsBefore, errorsBefore + LISTED)) {
    failures.push(`the application logged an error: ${line.slice(0, 500)}`);
  }
  const outcome: Outcome = {
    notes,
    failures,
    prefix: cast.prefix,
    journalPath: journal.path,
    holdsAreOverAtMs: load.holdsAreOverAtMs(),
  };
  await compare(scene, outcome, false);
  notes.push(summary(readJournal(journal.path)));
  return outcome;
}

/** The journal against the ledger, and the ledger against itself; adds to the failures. */
export async function compare(
  scene: Scene,
  outcome: Outcome,
  everyHoldIsOver: boolean,
): Promise<void> {
  const { prefix, journalPath, notes, failures } = outcome;
  const journal = readJournal(journalPath);
  const ledger = await readWallets(scene.sql, prefix);
  const findings = check(journal, ledger, { everyHoldIsOver });
  for (const { problem, userId, what } of findings.slice(0, LISTED)) {
    failures.push(`${problem} in ${userId}: ${what}`);
  }
  if (findings.length > LISTED) {
    failures.push(`and ${findings.length - LISTED} more`);
  }
  if (!everyHoldIsOver) {
    failures.push(...misleadingErrors(journal));
  }
  const verified = await verifyAll(scene.sql);
  notes.push(`${findings.length} differences to the journal; ledger -- verify: ${verified.text}`);
  if (!verified.ok) {
    failures.push(verified.text);
  }
}

/** Errors after which a caller would not ask again, although the fault was passing. */
function misleadingErrors(journal: readonly JournalEntry[]): string[] {
  const counts = countBy(journal);
  return [...counts]
    .filter(([code]) => code.endsWith(FINAL))
    .map(([code, count]) => `${count} times ${code}, after which callers do not ask again`);
}

function countBy(journal: readonly JournalEntry[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { unanswered } of journal) {
    for (const [code, count] of Object.entries(unanswered)) {
      counts.set(code, (counts.get(code) ?? 0) + count);
    }
  }
  return counts;
}

function summary(journal: readonly JournalEntry[]): string {
  const accepted = journal.filter(({ answer }) => answer?.ok).length;
  const refused = journal.filter(({ answer }) => answer?.ok === false).length;
  const asked = [...countBy(journal)].map(([code, count]) => `${count} ${code}`).join(', ');
  return (
    `${journal.length} writes: ${accepted} accepted, ${refused} refused; ` +
    `asked again after ${asked || 'nothing'}`
  );
}

function probeOf(userId: string, reference: string): Omit<Write, 'id'> {
  return {
    kind: 'charge',
    userId,
    reference,
    key: usageKey('email', reference),
    amountMicros: '10000',
  };
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
