/** Something that runs beside the requests until it is stopped. */
export interface Background {
  start(): void;
  /** Resolves when a pass that is under way has ended. */
  stop(): Promise<void>;
}

/** Runs `pass` again and again, `intervalMs` after the end of the pass before. */
export function everyInterval(
  pass: () => Promise<unknown>,
  intervalMs: number,
  onError: (error: unknown) => void,
): Background {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> = Promise.resolve();
  let stopped = false;

  function schedule(): void {
    timer = setTimeout(() => {
      running = pass()
        .then(() => undefined, onError)
        .then(() => {
          if (!stopped) {
            schedule();
          }
        });
    }, intervalMs);
  }

  return {
    start: schedule,
    async stop() {
      stopped = true;
      if (timer !== null) {
        clearTimeout(timer);
      }
      await running;
    },
  };
}
