/**
 * Times of a wall clock without a zone, as instants. Only what a call record needs: the rules of
 * time zones come from the runtime's own data (ECMA-402 `Intl.DateTimeFormat`).
 */

const dayMs = 24 * 60 * 60 * 1000;

/** Reads wall-clock times of one zone. */
export type LocalTimeReader = (text: string) => Date | undefined;

/**
 * A reader of `YYYY-MM-DD HH:MM:SS` in an IANA time zone; what is no such time of the calendar is
 * `undefined`. Where clocks go back an ambiguous time means the first of the two instants, and
 * where they go forward a time that no clock showed is counted on from before the gap: 02:30 in a
 * gap from 02:00 to 03:00 is 03:30. (Temporal calls this "compatible".)
 *
 * @throws RangeError for a time zone that the runtime does not know.
 */
export function localTimeReader(timezone: string): LocalTimeReader {
  const offsetAt = offsetReader(timezone);
  return (text) => {
    const wallMs = parseWallClock(text);
    if (wallMs === undefined) {
      return undefined;
    }
    // No zone changes its offset twice within two days, so these two are all that can hold here.
    const before = offsetAt(wallMs - dayMs);
    const after = offsetAt(wallMs + dayMs);
    const earliest = wallMs - Math.max(before, after);
    const latest = wallMs - Math.min(before, after);
    for (const instant of [earliest, latest]) {
      if (instant + offsetAt(instant) === wallMs) {
        return new Date(instant);
      }
    }
    return new Date(wallMs - before);
  };
}

/** The wall clock as if it were UTC, in milliseconds; nothing for what no calendar has. */
function parseWallClock(text: string): number | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const iso = `${text.replace(' ', 'T')}.000Z`;
  const wallMs = Date.parse(iso);
  return Number.isNaN(wallMs) || new Date(wallMs).toISOString() !== iso ? undefined : wallMs;
}

/** How far a zone's clocks are ahead of UTC at an instant, in milliseconds. */
function offsetReader(timezone: string): (instantMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (instantMs) => {
    const parts = new Map(
      format.formatToParts(instantMs).map(({ type, value }) => [type, Number(value)]),
    );
    const field = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
    const wallMs = Date.UTC(
      field('year'),
      field('month') - 1,
      field('day'),
      field('hour'),
      field('minute'),
      field('second'),
    );
    return wallMs - Math.floor(instantMs / 1000) * 1000;
  };
}
