/** What a command says, for its tests. */
import type { Output } from './output.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command and keeps what it writes; nothing of it is a terminal. */
export async function captured(run: (output: Output) => Promise<number>): Promise<Said> {
  const said = { out: '', err: '' };
  const code = await run({
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
  });
  return { code, ...said };
}
