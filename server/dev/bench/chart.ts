/** The rows of a report beside the floor, as a drawing that is readable on light and dark pages. */
import type { MeasuredRow, Report, Wallets } from './report.ts';
import { count } from './tables.ts';

const WIDTH = 860;
const LABELS = 400;
const RIGHT = 110;
const ROW_HEIGHT = 22;
const TITLE_HEIGHT = 34;
const TOP = 46;
const BOTTOM = 40;
/** The axis is logarithmic: from a tenth of the floor or less to a hundred times it or more. */
const WIDEST_RATIOS = [0.1, 100] as const;

const STYLE = `
  .page { fill: #ffffff } text { fill: #1f2328; font: 12px system-ui, sans-serif }
  .title { font-weight: 600; font-size: 13px } .small { fill: #59636e; font-size: 11px }
  .grid { stroke: #d1d9e0 } .floor { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 4 3 }
  .above { fill: #1a7f37 } .below { fill: #bc4c00 } .goal { stroke: #0969da; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 }
    .grid { stroke: #30363d } .floor { stroke: #9198a1 }
    .above { fill: #3fb950 } .below { fill: #db6d28 } .goal { stroke: #4493f8 }
  }`;

/** A bar for each row, from the floor to the row's own rate; a stroke where its goal is. */
export function chartSvg(report: Report): string {
  const rows = report.rows.filter(({ ratioToFloor, rateIsGiven }) => ratioToFloor && !rateIsGiven);
  const ratios = rows.flatMap(({ ratioToFloor }) => ratioToFloor ?? []);
  const low = 10 ** Math.floor(Math.log10(Math.min(WIDEST_RATIOS[0], ...ratios)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(WIDEST_RATIOS[1], ...ratios)));
  const plot = WIDTH - LABELS - RIGHT;
  const x = (ratio: number) => LABELS + (plot * Math.log(ratio / low)) / Math.log(high / low);

  const panels = (['many', 'one hot'] as const).map((wallets) => ({
    wallets,
    rows: rows.filter((row) => row.wallets === wallets),
  }));
  const height =
    TOP +
    BOTTOM +
    panels.reduce((sum, panel) => sum + TITLE_HEIGHT + panel.rows.length * ROW_HEIGHT, 0);

  const drawn: string[] = [];
  for (let tick = low; tick <= high * 1.001; tick *= 10) {
    const at = x(tick).toFixed(1);
    drawn.push(
      `<line class="grid" x1="${at}" x2="${at}" y1="${TOP}" y2="${height - BOTTOM}"/>`,
      `<text class="small" x="${at}" y="${height - BOTTOM + 16}" text-anchor="middle">${tickLabel(tick)}</text>`,
    );
  }
  let y = TOP;
  for (const panel of panels) {
    drawn.push(
      `<text class="title" x="16" y="${y + 22}">${xmlText(panelTitle(report, panel.wallets))}</text>`,
    );
    y += TITLE_HEIGHT;
    for (const row of panel.rows) {
      drawn.push(...bar(row, y, x));
      y += ROW_HEIGHT;
    }
  }
  const floorAt = x(1).toFixed(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Charges a second as multiples of the floor">
<style>${STYLE}</style>
<rect class="page" width="${WIDTH}" height="${height}" rx="6"/>
<text class="title" x="16" y="28">Charges a second, as multiples of one statement a charge in PostgreSQL (pgbench)</text>
${drawn.join('\n')}
<line class="floor" x1="${floorAt}" x2="${floorAt}" y1="${TOP}" y2="${height - BOTTOM}"/>
<text class="small" x="16" y="${height - 10}">Logarithmic. Blue strokes are goals. ${xmlText(`${report.machine.cores} cores, ${report.measuredAt.slice(0, 10)}`)}</text>
</svg>
`;
}

function bar(row: MeasuredRow, y: number, x: (ratio: number) => number): string[] {
  const ratio = row.ratioToFloor ?? 1;
  const [from, to] = ratio >= 1 ? [x(1), x(ratio)] : [x(ratio), x(1)];
  const label = row.unit === 'pair' ? `${row.name} (pairs)` : row.name;
  const drawn = [
    `<text x="${LABELS - 12}" y="${y + 15}" text-anchor="end">${xmlText(label)}</text>`,
    `<rect class="${ratio >= 1 ? 'above' : 'below'}" x="${from.toFixed(1)}" y="${y + 4}" width="${Math.max(to - from, 1).toFixed(1)}" height="14" rx="2"/>`,
    `<text class="small" x="${WIDTH - 12}" y="${y + 15}" text-anchor="end">${ratio.toFixed(2)} × · ${count(row.perSecond)}/s</text>`,
  ];
  if (row.goal.ratio !== undefined) {
    const at = x(row.goal.ratio).toFixed(1);
    drawn.push(`<line class="goal" x1="${at}" x2="${at}" y1="${y + 2}" y2="${y + 20}"/>`);
  }
  return drawn;
}

function panelTitle({ floors }: Report, wallets: Wallets): string {
  const floor = floors[wallets]?.simple;
  const title = wallets === 'many' ? '10,000 wallets' : 'One hot wallet';
  return floor === undefined ? title : `${title} (floor: ${count(floor.perSecond)} charges/s)`;
}

function tickLabel(tick: number): string {
  return `${Number(tick.toPrecision(1))} ×`;
}

function xmlText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
