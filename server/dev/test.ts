/**
 * `npm test`: every check, the unit and database tests, the build, the faults and the browser tests,
 * one after the other. Its last line says how many cases passed and failed; a check or a build is
 * one case.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Count,
  countChaos,
  countPlaywright,
  countVitest,
  type Ending,
  judge,
  type Verdict,
} from './test-reports.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAMS = join(ROOT, 'node_modules', '.bin');
/** Characters of a stage's error output, its last. */
const KEPT_OF_ERRORS = 1_000;

interface Stage {
  readonly title: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Reads how many cases the stage ran; a stage without is one case. */
  readonly count?: () => Promise<Count>;
  /** The stage that must have passed before this one can tell anything. */
  readonly needs?: string;
}

function stagesWith(reports: string): Stage[] {
  const vitestReport = join(reports, 'vitest.json');
  const playwrightReport = join(reports, 'playwright.json');
  const chaosReport = join(reports, 'chaos.json');
  const script = (name: string) => ['npm', 'run', name];
  return [
    { title: 'types', command: script('check:types') },
    { title: 'lint', command: script('check:lint') },
    { title: 'imports', command: script('check:imports') },
    { title: 'schema', command: script('check:schema') },
    {
      title: 'unit and database tests',
      command: [
        join(PROGRAMS, 'vitest'),
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${vitestReport}`,
      ],
      count: async () => countVitest(JSON.parse(await readFile(vitestReport, 'utf8'))),
    },
    { title: 'build', command: script('build') },
    {
      title: 'faults',
      command: [...script('chaos'), '--', '--short', '--json', chaosReport],
      count: async () => countChaos(JSON.parse(await readFile(chaosReport, 'utf8'))),
      needs: 'build',
    },
    {
      title: 'browser tests',
      command: [join(PROGRAMS, 'playwright'), 'test', '--reporter=list,json'],
      env: { PLAYWRIGHT_JSON_OUTPUT_FILE: playwrightReport },
      count: async () => countPlaywright(JSON.parse(await readFile(playwrightReport, 'utf8'))),
      needs: 'build',
    },
  ];
}

/** Set by Ctrl-C or a request to end: what has not begun then is not run, and so has failed. */
let interrupted = false;

async function main(): Promise<number> {
  const reports = await mkdtemp(join(tmpdir(), 'prepaid-wallet-reports-'));
  const total = { passed: 0, failed: 0 };
  const broken = new Map<string, string>();
  try {
    for (const stage of stagesWith(reports)) {
      console.log(`\n=== ${stage.title}`);
      const startedAtMs = Date.now();
      const verdict = await verdictOf(stage, broken);
      total.passed += verdict.passed;
      total.failed += verdict.failed;
      if (verdict.failed > 0) {
        broken.set(stage.title, verdict.problem);
      }
      const seconds = Math.round((Date.now() - startedAtMs) / 1000);
      const outcome = verdict.failed > 0 ? `FAILED: ${verdict.problem}` : 'passed';
      console.log(`=== ${stage.title}: ${outcome} (${verdict.passed} passed, ${seconds} s)`);
    }
  } finally {
    await rm(reports, { recursive: true, force: true });
  }
  console.log('');
  for (const [title, problem] of broken) {
    console.log(`${title}: ${problem}`);
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 ? 0 : 1;
}

async function verdictOf(stage: Stage, broken: ReadonlyMap<string, string>): Promise<Verdict> {
  if (interrupted) {
    return { passed: 0, failed: 1, problem: 'not run, because the run was ended' };
  }
  if (stage.needs !== undefined && broken.has(stage.needs)) {
    return { passed: 0, failed: 1, problem: `not run, because ${stage.needs} failed` };
  }
  const ending = await run(stage);
  return judge(ending, await stage.count?.().catch(() => null));
}

/** Runs a stage's program to its end, its output unchanged. */
async function run({ command: [program = '', ...args], env }: Stage): Promise<Ending> {
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (data: Buffer) => {
    process.stderr.write(data);
    errors = (errors + data).slice(-KEPT_OF_ERRORS);
  });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGTERM', pass);
  try {
    const [code, signal] = await once(child, 'close');
    return { code: code ?? signal, errors };
  } catch (error) {
    console.error(String(error));
    return { code: null, errors: String(error) };
  } finally {
    process.off('SIGTERM', pass);
  }
}

// Ctrl-C reaches the running stage as well, which cleans up; this process waits for it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true;
  });
}
process.exitCode = await main();
