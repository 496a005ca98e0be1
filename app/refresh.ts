/**
 * A page that waits for something follows it with a script. Without one, the document reloads
 * itself: the page says so through its `handle`, and the document's head carries the reload.
 */
export interface RefreshHandle {
  /** Seconds until the document should be fetched again, or null when there is nothing to await. */
  refreshSeconds(data: unknown): number | null;
}

/** What the deepest of the matched routes asks for. */
export function refreshSecondsOf(
  matches: readonly { handle: unknown; data: unknown }[],
): number | null {
  const last = matches.at(-1);
  return last !== undefined && isRefreshHandle(last.handle)
    ? last.handle.refreshSeconds(last.data)
    : null;
}

function isRefreshHandle(handle: unknown): handle is RefreshHandle {
  return handle !== null && typeof handle === 'object' && 'refreshSeconds' in handle;
}
