/**
 * Keeps a value under a key that was not kept before. Of a map that holds `atMost` values already,
 * the one that was kept first goes.
 */
export function keepNewest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  atMost: number,
): void {
  if (map.size >= atMost) {
    const oldest = map.keys().next();
    if (!oldest.done) {
      map.delete(oldest.value);
    }
  }
  map.set(key, value);
}
