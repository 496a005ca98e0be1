import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { chartSvg } from './chart.ts';
import { publish, withBlock } from './publish.ts';
import { sampleReport } from './report.fixtures.ts';
import { reportJson } from './report.ts';
import { fullTables, readmeTable } from './tables.ts';

test('each row stands beside the floor, with its goal and whether that was reached', () => {
  const lines = fullTables(sampleReport).split('\n');
  expect(lines).toContain(
    '| single charges, 64 callers | many | 12,346 | 1.23 | 0.99 | 4.2 | 41.0 | 80 | - | ✓ ≥ 1.2 ×, ✗ p99 < 40 ms |',
  );
  expect(lines).toContain('| one statement, default protocol | many | pgbench | 64 | 10,000 |');
});

test('a row whose rate was given shows no ratio', () => {
  expect(fullTables(sampleReport)).toContain(
    '| single charges arriving at 3000/s | many | 12,346 | - | - | 4.2 | 41.0 | 80 | - | ✓ p99 < 42 ms |',
  );
});

test('a long history is compared with the shortest', () => {
  expect(fullTables(sampleReport)).toContain(
    '| first page | SQL | 1,000,000 | 0.50 | 1.00 | 2.50 | ✗ ≤ 2 × |',
  );
});

test('the monthly run stands beside the same SQL run directly, with its memory', () => {
  const lines = fullTables(sampleReport).split('\n');
  expect(lines).toContain(
    '| **floor**: the same SQL run directly | 1,000 | 10,000 | 0.4 | 2,500 | 1.00 |  |',
  );
  expect(lines).toContain(
    '| the monthly run | 10,000 | 100,000 | 5.0 | 2,000 | 0.80 | 100 MB, 110 MB |',
  );
});

test('the README shows the headlines and the floor, and nothing else', () => {
  const table = readmeTable(sampleReport);
  expect(table).toContain('| **floor**: pgbench, 64 clients | many | 10,000 | 1 |');
  expect(table).toContain('chargeBatch of 100');
  expect(table).not.toContain('authorize and capture');
});

test('the JSON keeps everything, to four significant digits', () => {
  const kept = JSON.parse(reportJson(sampleReport));
  expect(Object.keys(kept)).toEqual(Object.keys(sampleReport));
  expect(kept.rows[0].ratioToFloor).toBe(1.235);
});

test('the chart draws every row that has a ratio, within its borders', () => {
  const svg = chartSvg(sampleReport);
  const bars = [
    ...svg.matchAll(/<rect class="(above|below)" x="([\d.]+)" y="\d+" width="([\d.]+)"/g),
  ];
  expect(bars.map(([, side]) => side)).toEqual(['above', 'above', 'below']);
  for (const [, , x, width] of bars) {
    expect(Number(x)).toBeGreaterThanOrEqual(400);
    expect(Number(x) + Number(width)).toBeLessThanOrEqual(750);
  }
  expect(svg).toContain('chargeBatch of 100 &lt;x&gt;');
  expect(svg).toContain('prefers-color-scheme: dark');
});

test('publishing replaces what stands between the marks, and nothing else', () => {
  const begin = '<!-- benchmark: written by `npm run bench`, do not edit -->';
  const before = `# A\n\n${begin}\n\nold\n\n<!-- /benchmark -->\n\nB\n`;
  const after = withBlock(before, 'new', 'README.md');
  expect(after).toBe(before.replace('old', 'new'));
  expect(withBlock(after, 'new', 'README.md')).toBe(after);
  expect(() => withBlock('# A\n', 'new', 'README.md')).toThrow('README.md has no block');
});

test('a part of the benchmark is never published', async () => {
  await expect(publish({ ...sampleReport, guards: null })).rejects.toThrow('only a whole run');
  await expect(publish({ ...sampleReport, floors: {} })).rejects.toThrow('only a whole run');
});

test.each(['README.md', 'docs/benchmark.md'])('%s has a block to write into', async (path) => {
  const text = await readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');
  expect(withBlock(text, 'figures', path)).toContain('figures');
});
