import { formatMoney } from '../format.ts';
import { usageTypeName } from '../usage-names.ts';

export interface DayOfUsage {
  /** `YYYY-MM-DD`. */
  day: string;
  type: string;
  amountMicros: string;
}

interface UsageChartProps {
  /** `YYYY-MM`; every one of its days has its place. */
  period: string;
  today: string;
  days: DayOfUsage[];
  /** The types in the order in which they stand on each other. */
  types: string[];
  currency: string;
}

/** Told apart by lightness as well as by hue, each at least 3:1 against the white behind it. */
const COLORS = ['#0b6650', '#2f6fb0', '#9a6700', '#8250a8', '#5b6770', '#a3261b'];

const HEIGHT = 200;
const STEP = 20;
const BAR = 14;

/** What each day of the month cost, one bar a day; the table beside it has the figures. */
export function UsageChart({ period, today, days, types, currency }: UsageChartProps) {
  const count = daysIn(period);
  const bars = Array.from({ length: count }, (_, index) => {
    const day = `${period}-${String(index + 1).padStart(2, '0')}`;
    return { day, parts: days.filter((part) => part.day === day), place: index };
  });
  const highest = bars.reduce((most, { parts }) => {
    const total = sumOf(parts);
    return total > most ? total : most;
  }, 0n);
  const busiest = bars.find(({ parts }) => sumOf(parts) === highest);
  if (highest === 0n || busiest === undefined) return null;
  const summary = `Cost of each day. The dearest was day ${busiest.place + 1} with ${formatMoney(highest, currency)}.`;
  return (
    <figure className="mb-5">
      <svg
        viewBox={`0 0 ${count * STEP} ${HEIGHT + 26}`}
        role="img"
        aria-label={summary}
        className="w-full"
      >
        <line x1="0" y1={HEIGHT} x2={count * STEP} y2={HEIGHT} stroke="#7d8a84" />
        {bars.map(({ day, parts, place }) => (
          <g key={day}>
            <title>{`${place + 1}: ${formatMoney(sumOf(parts), currency)}`}</title>
            <Bar parts={parts} types={types} highest={highest} left={place * STEP + 3} />
            {(place === 0 || (place + 1) % 5 === 0 || day === today) && (
              <text
                x={place * STEP + STEP / 2}
                y={HEIGHT + 22}
                textAnchor="middle"
                fontSize="19"
                fill={day === today ? '#14211c' : '#4d5b55'}
                fontWeight={day === today ? 'bold' : 'normal'}
              >
                {day !== today && isNear(day, today) ? '' : place + 1}
              </text>
            )}
          </g>
        ))}
      </svg>
      <figcaption>
        <ul className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-sm text-ink-soft">
          {types.map((type, index) => (
            <li key={type} className="flex items-center gap-2">
              <svg width="12" height="12" aria-hidden="true">
                <rect width="12" height="12" rx="2" fill={colorOf(index)} />
              </svg>
              {usageTypeName(type)}
            </li>
          ))}
        </ul>
      </figcaption>
    </figure>
  );
}

interface BarProps {
  parts: DayOfUsage[];
  types: string[];
  highest: bigint;
  left: number;
}

function Bar({ parts, types, highest, left }: BarProps) {
  let top = HEIGHT;
  return types.map((type, index) => {
    const height = heightOf(sumOf(parts.filter((part) => part.type === type)), highest);
    if (height === 0) return null;
    top -= height;
    return <rect key={type} x={left} y={top} width={BAR} height={height} fill={colorOf(index)} />;
  });
}

/** In hundredths of a pixel: amounts are not turned into a `number` before they are compared. */
function heightOf(micros: bigint, highest: bigint): number {
  return micros <= 0n ? 0 : Number((micros * BigInt(HEIGHT - 4) * 100n) / highest) / 100;
}

function sumOf(parts: DayOfUsage[]): bigint {
  return parts.reduce((sum, { amountMicros }) => sum + BigInt(amountMicros), 0n);
}

function colorOf(index: number): string {
  return COLORS[index % COLORS.length] ?? '#5b6770';
}

/** Whether two days' numbers would touch each other. */
function isNear(day: string, today: string): boolean {
  return Math.abs(Number(day.slice(-2)) - Number(today.slice(-2))) < 2;
}

function daysIn(period: string): number {
  const [year = 0, month = 1] = period.split('-').map(Number);
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
