/** How far a command is, for whoever watches it. */
import type { Output } from './output.ts';

const QUIET_MS = 1_000;
/** Goes back to the line's beginning, and takes away what a longer line left behind. */
const REWRITE = { before: '\r', after: '\u001b[K' } as const;

export interface Progress {
  /** Shows a new line, unless one was shown within the last second: then `describe` is not asked. */
  show(): Promise<void>;
  /** Shows the last line, whenever the one before it was. */
  finish(): Promise<void>;
}

/** One line that is rewritten on a terminal; elsewhere, such as in a log, each is a line. */
export function createProgress(options: {
  readonly output: Output;
  readonly nowMs: () => number;
  /** The line, after the milliseconds since the work began. */
  readonly describe: (elapsedMs: number) => Promise<string>;
}): Progress {
  const { output, nowMs, describe } = options;
  const startedAtMs = nowMs();
  let shownAtMs = startedAtMs;
  const isTerminal = output.errIsTerminal ?? false;

  async function write(): Promise<void> {
    shownAtMs = nowMs();
    const line = await describe(shownAtMs - startedAtMs);
    await output.err(isTerminal ? `${REWRITE.before}${line}${REWRITE.after}` : `${line}\n`);
  }

  return {
    async show() {
      if (nowMs() - shownAtMs >= QUIET_MS) await write();
    },
    async finish() {
      await write();
      if (isTerminal) await output.err('\n');
    },
  };
}
