/** Puts a report's tables into the documents, so that nobody types a figure. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chartSvg } from './chart.ts';
import type { Report } from './report.ts';
import { fullTables, readmeTable } from './tables.ts';

const BEGIN = '<!-- benchmark: written by `npm run bench`, do not edit -->';
const END = '<!-- /benchmark -->';

/**
 * Rewrites the marked blocks of README.md and docs/benchmark.md, and draws the chart that they show.
 * @throws Error when the report is of a part of the benchmark
 */
export async function publish(report: Report): Promise<void> {
  const { floors, rows, history, ledger, guards, month, memory } = report;
  const sections = [
    floors.many,
    floors['one hot'],
    rows[0],
    history,
    ledger,
    guards,
    month,
    memory,
  ];
  if (sections.some((section) => section === undefined || section === null)) {
    throw new Error('only a whole run is published, and this report is of a part');
  }
  await writeFile(fileOf('docs/images/benchmark.svg'), chartSvg(report));
  await rewrite('README.md', readmeTable(report));
  const chart = '![Each row beside the floor](images/benchmark.svg)';
  await rewrite('docs/benchmark.md', `${chart}\n\n${fullTables(report)}`);
}

async function rewrite(path: string, text: string): Promise<void> {
  const file = fileOf(path);
  await writeFile(file, withBlock(await readFile(file, 'utf8'), text, path));
}

function fileOf(path: string): string {
  return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}

/** A document with another text between its marks. Throws when it has no such block. */
export function withBlock(document: string, text: string, path: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin === -1 || end < begin) {
    throw new Error(`${path} has no block between ${BEGIN} and ${END}`);
  }
  return `${document.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${document.slice(end)}`;
}
