/**
 * `npm run bench`: the performance table, each figure beside the floor that was measured in the
 * same run, on the machine it runs on.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { startTemporaryPostgres } from '../temporary-postgres.ts';
import { type BenchOptions, HELP, readArguments, UsageError } from './arguments.ts';
import { chartSvg } from './chart.ts';
import { publish } from './publish.ts';
import { type Report, reportJson } from './report.ts';
import { runBenchmark } from './run.ts';

async function main(args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (options === 'help') {
    console.log(HELP);
    return 0;
  }
  const report = await reportOf(options);
  const { jsonFile, chartFile, readme } = options;
  if (jsonFile !== undefined) {
    await writeFile(jsonFile, reportJson(report));
  }
  if (chartFile !== undefined) {
    await writeFile(chartFile, chartSvg(report));
  }
  if (readme) {
    await publish(report);
  }
  return 0;
}

async function reportOf(options: BenchOptions): Promise<Report> {
  if (options.fromFile !== undefined) {
    return JSON.parse(await readFile(options.fromFile, 'utf8')) as Report;
  }
  const postgres = await startTemporaryPostgres();
  try {
    const report = await runBenchmark(options, postgres, (line) => console.log(line));
    console.log(`\n${report.durationSeconds} s; the ledger adds up.`);
    return report;
  } finally {
    await postgres.stop();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\n\n${HELP}`);
  } else {
    console.error(error);
  }
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
