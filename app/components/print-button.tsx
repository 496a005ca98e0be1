import { useHydrated } from '../use-hydrated.ts';
import { Button } from './button.tsx';

/** Opens the browser's print dialogue; absent where there is no script to do so. */
export function PrintButton() {
  if (!useHydrated()) return null;
  return (
    <Button type="button" tone="secondary" className="print:hidden" onClick={() => window.print()}>
      Print
    </Button>
  );
}
