/** Spans of the past that support staff choose, in UTC. */

export interface PastSpan {
  from: Date;
  to: Date;
}

/** The calendar month `2026-10`, or null when it is none. */
export function monthSpan(month: string): PastSpan | null {
  if (!/^\d{4}-(?:0[1-9]|1[0-2])$/.test(month)) return null;
  const from = new Date(`${month}-01T00:00:00Z`);
  return { from, to: new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1)) };
}

/** Two times as a form's `datetime-local` writes them, the second one excluded; null when wrong. */
export function timesSpan(from: string, to: string): PastSpan | null {
  const span = { from: new Date(`${from}Z`), to: new Date(`${to}Z`) };
  return span.from < span.to ? span : null;
}

/** The month before the one of an instant. */
export function monthBefore(at: Date): string {
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - 1)).toISOString().slice(0, 7);
}
