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

/** Percent of the height above the highest amount and below zero, for the halves of their texts. */
const TOP = 4;
const BOTTOM = 10;
/** The share of its day that a bar leaves free. */
const GAP = 0.3;
/** In pixels, a little more than it has. */
const DIGIT_WIDTH = 8;

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
  const widest = Math.max(...marks.map(({ text }) => text.length)) * DIGIT_WIDTH;
  const summary = `Cost of each day. The dearest was day ${busiest.place + 1} with ${formatMoney(highest, currency)}.`;
  return (
    <figure className="mb-5">
      {/* Places are percentages, so that the texts keep their size on every screen. */}
      <div role="img" aria-label={summary} className="flex h-56 gap-1.5 text-sm sm:h-80">
        <svg aria-hidden="true" width={widest} height="100%" className="shrink-0 fill-ink-soft">
          {marks.map(({ micros, text }) => (
            <text key={text} x="100%" y={percent(yOf(micros, top))} dy="0.35em" textAnchor="end">
              {text}
            </text>
          ))}
        </svg>
        <svg aria-hidden="true" height="100%" className="w-0 grow overflow-visible">
          {marks.map(({ micros, text }) => {
            const y = percent(yOf(micros, top));
            const line = micros === 0n ? 'stroke-line-strong' : 'stroke-line';
            return <line key={text} x1="0" y1={y} x2="100%" y2={y} className={line} />;
          })}
          {bars.map(({ day, parts, place }) => (
            <g key={day}>
              <title>{`${place + 1}: ${formatMoney(sumOf(parts), currency)}`}</title>
              <Bar parts={parts} types={types} top={top} place={place} count={count} />
              {(place === 0 || (place + 1) % 5 === 0 || day === today) && (
                <text
                  x={percent(((place + 0.5) * 100) / count)}
                  y="100%"
                  dy="-0.2em"
                  textAnchor="middle"
                  className={day === today ? 'fill-ink font-bold' : 'fill-ink-soft'}
                >
                  {day !== today && isNear(day, today) ? '' : place + 1}
                </text>
              )}
            </g>
          ))}
        </svg>
      </div>
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
  top: bigint;
  /** Of the day, from 0, among so many. */
  place: number;
  count: number;
}

function Bar({ parts, types, top, place, count }: BarProps) {
  let belowMicros = 0n;
  return types.map((type) => {
    const micros = sumOf(parts.filter((part) => part.type === type));
    if (micros <= 0n) return null;
    const bottom = yOf(belowMicros, top);
    belowMicros += micros;
    const y = yOf(belowMicros, top);
    return (
      <rect
        key={type}
        x={percent(((place + GAP / 2) * 100) / count)}
        y={percent(y)}
        width={percent(((1 - GAP) * 100) / count)}
        height={percent(bottom - y)}
        fill={colorOf(type)}
      />
    );
  });
}

/** The types that were used, in their own order; those that are not known here come last. */
function typesOf(days: DayOfUsage[]): string[] {
  const place = (type: string) => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);
  return [...new Set(days.map(({ type }) => type))].sort((a, b) => place(a) - place(b));
}

/** Where an amount stands, in percent of the height from above. */
function yOf(micros: bigint, top: bigint): number {
  // Amounts are not turned into a `number` before they are compared.
  const share = Number((micros * 10_000n) / top) / 10_000;
  return 100 - BOTTOM - share * (100 - TOP - BOTTOM);
}

function percent(value: number): string {
  return `${Math.round(value * 100) / 100}%`;
}

function sumOf(parts: DayOfUsage[]): bigint {
  return parts.reduce((sum, { amountMicros }) => sum + BigInt(amountMicros), 0n);
}

function colorOf(type: string): string {
  return COLORS[type] ?? OTHER_COLOR;
}

/** Whether two days' numbers would touch each other. */
function isNear(day: string, today: string): boolean {
  return Math.abs(Number(day.slice(-2)) - Number(today.slice(-2))) < 3;
}

function daysIn(period: string): number {
  const [year = 0, month = 1] = period.split('-').map(Number);
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
