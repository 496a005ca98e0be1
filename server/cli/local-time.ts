/** Times of a wall clock without a zone, as instants. Only what a call record needs. */
import { offsetMs } from '../ledger/window.ts';

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
  const offsetAt = (instantMs: number) => offsetMs(instantMs, timezone);
  // A zone that does not exist is refused now and not at the first time that is read.
  offsetAt(0);
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
