import { describe, expect, it } from 'vitest';
import { createProgress } from './progress.ts';

/** Steps of 400 ms, each of which closes 100 wallets; what was written in the end. */
async function written(errIsTerminal: boolean) {
  let text = '';
  let nowMs = 5_000;
  let closed = 0;
  let asked = 0;
  const progress = createProgress({
    output: {
      out: () => undefined,
      err: (chunk) => {
        text += chunk;
      },
      errIsTerminal,
    },
    nowMs: () => nowMs,
    describe: async (elapsedMs) => {
      asked += 1;
      return `${closed} after ${elapsedMs} ms`;
    },
  });
  for (let step = 0; step < 7; step += 1) {
    nowMs += 400;
    closed += 100;
    await progress.show();
  }
  await progress.finish();
  return { text, asked };
}

describe('progress', () => {
  it('is a line at most every second, and always the last', async () => {
    expect(await written(false)).toEqual({
      text: '300 after 1200 ms\n600 after 2400 ms\n700 after 2800 ms\n',
      asked: 3,
    });
  });

  it('is one line on a terminal, rewritten', async () => {
    const { text } = await written(true);
    expect(text).toBe(
      '\r300 after 1200 ms\u001b[K\r600 after 2400 ms\u001b[K\r700 after 2800 ms\u001b[K\n',
    );
  });
});
