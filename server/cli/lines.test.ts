import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Line, readLines } from './lines.ts';

async function linesOf(chunks: (string | Uint8Array)[], maxLength = 100): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of readLines(chunks, maxLength)) {
    lines.push(line);
  }
  return lines;
}

describe('readLines', () => {
  test('takes LF and CRLF as breaks, counts blank lines, and needs no break at the end', async () => {
    expect(await linesOf(['a\r\n\nb\n', 'c'])).toEqual([
      { number: 1, text: 'a' },
      { number: 2, text: '' },
      { number: 3, text: 'b' },
      { number: 4, text: 'c' },
    ]);
  });

  test('gives no line for an empty source', async () => {
    expect(await linesOf([])).toEqual([]);
    expect(await linesOf([''])).toEqual([]);
  });

  test('gives the same lines wherever the bytes are cut, inside characters and breaks too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '😀', ',', '"'), maxLength: 9 })),
        fc.constantFrom('\n', '\r\n'),
        fc.integer({ min: 1, max: 7 }),
        async (texts, lineBreak, size) => {
          const bytes = new TextEncoder().encode(texts.map((text) => text + lineBreak).join(''));
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += size) {
            chunks.push(bytes.subarray(at, at + size));
          }
          expect(await linesOf(chunks)).toEqual(
            texts.map((text, index) => ({ number: index + 1, text })),
          );
        },
      ),
    );
  });

  test('drops a byte order mark and survives bytes that are not UTF-8', async () => {
    expect(await linesOf([Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xe9, 0x0a)])).toEqual([
      { number: 1, text: 'a\ufffd' },
    ]);
  });

  test('keeps nothing of a line that is too long, and goes on behind it', async () => {
    const long = 'x'.repeat(1_000);
    for (const chunks of [[`${long}\nok\n`], [long, long, `\n`, 'ok'], [...`${long}\nok`]]) {
      expect(await linesOf(chunks)).toEqual([
        { number: 1, text: undefined },
        { number: 2, text: 'ok' },
      ]);
    }
    expect(await linesOf([long])).toEqual([{ number: 1, text: undefined }]);
  });

  test('allows exactly the longest length, with either break', async () => {
    const longest = 'x'.repeat(100);
    expect(await linesOf([`${longest}\r`, '\n', longest])).toEqual([
      { number: 1, text: longest },
      { number: 2, text: longest },
    ]);
    expect(await linesOf([`${longest}x\n`])).toEqual([{ number: 1, text: undefined }]);
  });
});
