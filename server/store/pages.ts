/**
 * A page out of `size + 1` rows that were read: the first `size` of them, and the cursor of the next
 * page; null on the last page.
 */
export function pageOf<Row>(
  rows: readonly Row[],
  size: number,
  cursorOf: (last: Row) => string,
): { page: Row[]; nextCursor: string | null } {
  const page = rows.slice(0, size);
  const last = page.at(-1);
  return { page, nextCursor: rows.length > size && last !== undefined ? cursorOf(last) : null };
}

/**
 * The place of a row in a list by time: its instant as the database writes it, exact to the
 * microsecond, and the id that tells rows of one instant apart.
 */
export function timeCursor(at: string, id: string): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url');
}

/** Null, which is the first page, for what is no cursor of ours. */
export function readTimeCursor(cursor: string | undefined): [at: string, id: string] | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor ?? '', 'base64url').toString());
    const [at, id] = Array.isArray(value) ? value : [];
    const isOurs =
      typeof at === 'string' && /^\d{4}-[\d :.+-]{10,40}$/.test(at) && typeof id === 'string';
    return isOurs ? [at, id] : null;
  } catch {
    return null;
  }
}
