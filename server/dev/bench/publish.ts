/** Puts a report's tables into the documents, so that nobody types a figure. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Report } from './report.ts';
import { fullTables, readmeTable } from './tables.ts';

const BEGIN = '<!-- benchmark: written by `npm run bench`, do not edit -->';
const END = '<!-- /benchmark -->';

/** Rewrites the marked blocks of README.md and docs/benchmark.md. */
export async function publish(report: Report): Promise<void> {
  await rewrite('README.md', readmeTable(report));
  await rewrite('docs/benchmark.md', fullTables(report));
}

async function rewrite(path: string, text: string): Promise<void> {
  const file = fileURLToPath(new URL(`../../../${path}`, import.meta.url));
  await writeFile(file, withBlock(await readFile(file, 'utf8'), text, path));
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
