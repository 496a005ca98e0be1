/**
 * `npm run chaos`: a service under load is hurt, chapter by chapter, and afterwards what its callers
 * were told is held against the ledger. Everything is real: PostgreSQL, the production server in
 * processes of its own, the typed client.
 *
 *   npm run chaos [-- --only NAME] [-- --seconds N] [-- --seed N] [-- --short] [-- --json FILE]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CHAPTERS, type Chapter } from './chapters.ts';
import { hasOpenHold } from './ledger-of-wallets.ts';
import { compare, type Outcome, type PlayOptions, play } from './play.ts';
import { openScene, openSceneOnSmallDisk, type Scene } from './scene.ts';
import { selfTest } from './self-test.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SECONDS = 30;
const SHORT_SECONDS = 1;
const LOST_CALLS = 3;
/** How long the sweeper may take to end holds that have run out, on a machine with much else to do. */
const SWEEPER_MS = 15_000;
const POLL_MS = 200;

/** What passed, failed, and could not be run, by name. */
interface Results {
  readonly passed: string[];
  readonly failed: { readonly name: string; readonly why: string }[];
  readonly notRun: string[];
}

const HELP = `Hurts a service under load, chapter by chapter, and holds what its callers were told
against the ledger.

  npm run chaos [-- OPTIONS]
      --only NAME     ${CHAPTERS.map(({ name }) => name).join('\n                      ')}
      --seconds N     seconds of faults a chapter; by default ${SECONDS}, short ${SHORT_SECONDS}
      --seed N        the same faults again
      --short         what npm test plays
      --json FILE     writes which chapters passed
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h' },
      only: { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      short: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const seed = wholeNumber('--seed', values.seed) ?? Math.floor(Math.random() * 2 ** 31);
  const options = {
    seconds: wholeNumber('--seconds', values.seconds) ?? (values.short ? SHORT_SECONDS : SECONDS),
    random: seeded(seed),
    short: values.short,
  };
  const chapters = CHAPTERS.filter(({ name }) => values.only === undefined || name === values.only);
  if (chapters.length === 0) {
    throw new Error(`--only is one of ${CHAPTERS.map(({ name }) => name).join(', ')}`);
  }
  build();
  console.log(`Seed ${seed}, ${options.seconds} s of faults a chapter`);

  const results: Results = { passed: [], failed: [], notRun: [] };
  const scenes = [
    { open: openScene, on: chapters.filter(({ onSmallDisk }) => !onSmallDisk) },
    { open: openSceneOnSmallDisk, on: chapters.filter(({ onSmallDisk }) => onSmallDisk) },
  ];
  for (const { open, on } of scenes) {
    await playAll(on, () => open(options.random), options, results);
  }
  const { passed, failed, notRun } = results;
  console.log(
    `\n${passed.length} passed, ${failed.length} failed` +
      (notRun.length > 0 ? `, not run: ${notRun.join(', ')}` : ''),
  );
  if (values.json !== undefined) {
    await writeFile(values.json, `${JSON.stringify({ seed, ...results }, null, 2)}\n`);
  }
  return failed.length === 0 ? 0 : 1;
}

/**
 * Plays chapters on one scene, and the aftermath where it was not seen yet. What breaks the scene
 * itself fails the chapters that it leaves unplayed, and the run goes on to its report.
 */
async function playAll(
  chapters: readonly Chapter[],
  open: () => Promise<Scene | null>,
  options: Omit<PlayOptions, 'lostCalls'>,
  results: Results,
): Promise<void> {
  try {
    await playOnOneScene(chapters, open, options, results);
  } catch (error) {
    console.error(error);
    const why = `the scene broke: ${error instanceof Error ? error.message : String(error)}`;
    const unplayed = chapters.map(({ name }) => name).filter((name) => !isTold(name, results));
    for (const name of unplayed.length > 0 ? unplayed : ['aftermath']) {
      results.failed.push({ name, why });
    }
  }
}

async function playOnOneScene(
  chapters: readonly Chapter[],
  open: () => Promise<Scene | null>,
  options: Omit<PlayOptions, 'lostCalls'>,
  results: Results,
): Promise<void> {
  if (chapters.length === 0) {
    return;
  }
  const scene = await open();
  if (scene === null) {
    for (const { name, title } of chapters) {
      console.log(`\n${name}: ${title}\n  NOT RUN: needs root, to mount a small file system`);
      results.notRun.push(name);
    }
    return;
  }
  const stop = endOnSignal(scene);
  try {
    const outcomes: Outcome[] = [];
    for (const chapter of chapters) {
      console.log(`\n${chapter.name}: ${chapter.title}`);
      // The short form does not wait for the holds of its last chapters to run out.
      const lostCalls = options.short && outcomes.length > 0 ? 0 : LOST_CALLS;
      const outcome = await play(chapter, scene, { ...options, lostCalls });
      tell(chapter.name, outcome, results);
      outcomes.push(outcome);
    }
    if (!isTold('checker', results)) {
      await playAftermath(scene, outcomes, results);
    }
  } finally {
    stop();
    await scene.close();
  }
}

/** What must be seen once in a run, on a scene whose chapters have been played. */
async function playAftermath(
  scene: Scene,
  outcomes: readonly Outcome[],
  results: Results,
): Promise<void> {
  console.log('\nholds-run-out: calls of lost switches have billed their last heartbeat');
  const notes: string[] = [];
  const failures: string[] = [];
  const overAtMs = Math.max(...outcomes.map(({ holdsAreOverAtMs }) => holdsAreOverAtMs));
  while ((await hasOpenHold(scene.sql)) && performance.now() < overAtMs + SWEEPER_MS) {
    await sleep(POLL_MS);
  }
  for (const outcome of outcomes) {
    await compare(scene, { ...outcome, notes, failures }, true);
  }
  tell('holds-run-out', { notes: notes.slice(-1), failures }, results);

  console.log('\nchecker: the check finds what is put wrong on purpose');
  // On the chapter with the most writes: in a short one the faults may leave time for few.
  const sizeOf = ({ journalPath }: Outcome) => statSync(journalPath).size;
  const [richest] = outcomes.toSorted((a, b) => sizeOf(b) - sizeOf(a));
  if (richest !== undefined) {
    tell('checker', await selfTest(scene.sql, richest), results);
  }
}

function tell(
  name: string,
  { notes, failures }: Pick<Outcome, 'notes' | 'failures'>,
  results: Results,
): void {
  for (const note of notes) {
    console.log(`  ${note}`);
  }
  for (const failure of failures) {
    console.log(`  FAILED: ${failure}`);
  }
  const [why] = failures;
  if (why === undefined) {
    console.log('  passed');
    results.passed.push(name);
  } else {
    console.log('  failed');
    results.failed.push({ name, why });
  }
}

function isTold(chapter: string, { passed, failed }: Results): boolean {
  return passed.includes(chapter) || failed.some(({ name }) => name === chapter);
}

/**
 * The production server as the source is now. The pages belong to it, and take longer: those that
 * are there will do.
 */
function build(): void {
  const pagesBuilt = existsSync(join(ROOT, 'build', 'server', 'index.js'));
  const script = pagesBuilt ? 'build:server' : 'build';
  const { status } = spawnSync('npm', ['run', '--silent', script], { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) {
    throw new Error(`npm run ${script} failed`);
  }
}

/** Ctrl-C and a request to end take the scene down first, a frozen PostgreSQL too. */
function endOnSignal(scene: Scene): () => void {
  const end = async () => {
    await scene.database.thaw();
    await scene.close();
    process.exit(1);
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  return () => {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  };
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  if (!/^\d{1,9}$/.test(text)) {
    throw new Error(`${name} must be a whole number`);
  }
  return Number(text);
}

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
