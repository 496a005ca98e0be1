import { formatMoney } from '../format.ts';
import { scaleMarks } from '../scale.ts';
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
  currency: string;
}

/**
 * Each type keeps its colour and its place in a bar, whatever it cost. Told apart by lightness as
 * well as by hue, each at least 3:1 against the white behind it.
 */
const COLORS: Readonly<Record<string, string>> = {
  call: '#0b6650',
  sms: '#2f6fb0',
  email: '#9a6700',
  fax: '#8250a8',
  file_transfer: '#5b6770',
};
const OTHER_COLOR = '#a3261b';
const ORDER = Object.keys(COLORS);

const HEIGHT = 320;
const STEP = 20;
const BAR = 14;
const FONT_SIZE = 20;
/** Room for the upper half of the highest amount. */
const TOP = 12;
/** Room for the right half of the last day's number. */
const RIGHT = 8;

/** What each day of the month cost, one bar a day; the table beside it has the figures. */
export function UsageChart({ period, today, days, currency }: UsageChartProps) {
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
  const types = typesOf(days);
  const marks = scaleMarks(highest).map((micros) => ({
    micros,
    text: formatMoney(micros, currency, { short: true }),
  }));
  const top = marks.at(-1)?.micros ?? highest;
  // A digit is a little wider than half its height.
  const left = Math.max(...marks.map(({ text }) => text.length)) * FONT_SIZE * 0.65 + 6;
  const right = left + count * STEP;
  const summary = `Cost of each day. The dearest was day ${busiest.place + 1} with ${formatMoney(highest, currency)}.`;
  return (
    <figure className="mb-5">
      <svg
        viewBox={`0 ${-TOP} ${right + RIGHT} ${TOP + HEIGHT + 26}`}
        role="img"
        aria-label={summary}
        className="w-full"
        fontSize={FONT_SIZE}
      >
        {marks.map(({ micros, text }) => {
          const y = HEIGHT - heightOf(micros, top);
          const stroke = micros === 0n ? '#7d8a84' : '#dfe4e1';
          return (
            <g key={text}>
              <line x1={left} y1={y} x2={right} y2={y} stroke={stroke} />
              <text x={left - 6} y={y + 7} textAnchor="end" fill="#4d5b55">
                {text}
              </text>
            </g>
          );
        })}
        {bars.map(({ day, parts, place }) => (
          <g key={day}>
            <title>{`${place + 1}: ${formatMoney(sumOf(parts), currency)}`}</title>
            <Bar parts={parts} types={types} scale={top} left={left + place * STEP + 3} />
            {(place === 0 || (place + 1) % 5 === 0 || day === today) && (
              <text
                x={left + place * STEP + STEP / 2}
                y={HEIGHT + 22}
                textAnchor="middle"
                fill={day === today ? '#14211c' : '#4d5b55'}
                fontWeight={day === today ? 'bold' : 'normal'}
              >
                {day !== today && isNear(day, today) ? '' : place + 1}
              </text>
            )}
          </g>
        ))}
      </svg>
      <figcaption className="text-sm text-ink-soft">
        <ul className="mt-2 flex flex-wrap gap-x-4 gap-y-1">
          {types.map((type) => (
            <li key={type} className="flex items-center gap-2">
              <svg width="12" height="12" aria-hidden="true">
                <rect width="12" height="12" rx="2" fill={colorOf(type)} />
              </svg>
              {usageTypeName(type)}
            </li>
          ))}
        </ul>
        <p className="mt-2">
          By the day on which it was charged. Activity shows when it took place, which can be
          earlier.
        </p>
      </figcaption>
    </figure>
  );
}

interface BarProps {
  parts: DayOfUsage[];
  types: string[];
  /** What the whole height stands for. */
  scale: bigint;
  left: number;
}

function Bar({ parts, types, scale, left }: BarProps) {
  let top = HEIGHT;
  return types.map((type) => {
    const height = heightOf(sumOf(parts.filter((part) => part.type === type)), scale);
    if (height === 0) return null;
    top -= height;
    return <rect key={type} x={left} y={top} width={BAR} height={height} fill={colorOf(type)} />;
  });
}

/** The types that were used, in their own order; those that are not known here come last. */
function typesOf(days: DayOfUsage[]): string[] {
  const place = (type: string) => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);
  return [...new Set(days.map(({ type }) => type))].sort((a, b) => place(a) - place(b));
}

/** In hundredths of a pixel: amounts are not turned into a `number` before they are compared. */
function heightOf(micros: bigint, scale: bigint): number {
  return micros <= 0n ? 0 : Number((micros * BigInt(HEIGHT) * 100n) / scale) / 100;
}

function sumOf(parts: DayOfUsage[]): bigint {
  return parts.reduce((sum, { amountMicros }) => sum + BigInt(amountMicros), 0n);
}

function colorOf(type: string): string {
  return COLORS[type] ?? OTHER_COLOR;
}

/** Whether two days' numbers would touch each other. */
function isNear(day: string, today: string): boolean {
  return Math.abs(Number(day.slice(-2)) - Number(today.slice(-2))) < 2;
}

function daysIn(period: string): number {
  const [year = 0, month = 1] = period.split('-').map(Number);
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
