import { useRevalidator } from '@remix-run/react';
import { useEffect, useRef } from 'react';

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 15_000;
const GROWTH = 1.5;

/** How long to wait before asking the nth time (from 0): ever longer, up to a limit. */
export function pollDelayMs(attempt: number): number {
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * GROWTH ** attempt);
}

/** Loads the page's data again and again, ever more slowly, while `isActive`. */
export function usePolling(isActive: boolean): void {
  const { revalidate, state } = useRevalidator();
  const attempt = useRef(0);
  useEffect(() => {
    if (!isActive || state !== 'idle') return;
    const timer = setTimeout(() => {
      attempt.current += 1;
      revalidate();
    }, pollDelayMs(attempt.current));
    return () => clearTimeout(timer);
  }, [isActive, state, revalidate]);
}
