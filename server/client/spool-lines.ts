/** Files of lines whose end a crash may have torn. */
import type { FileHandle } from 'node:fs/promises';

const LINE_END = 0x0a;
const READ_BYTES = 64 * 1024;

export interface WaitingLine {
  readonly text: string;
  /** Where the next line begins. */
  readonly endsAtByte: number;
}

/** Takes all that is in a file out of it. */
export async function empty(handle: FileHandle): Promise<void> {
  await handle.truncate(0);
  await handle.datasync();
}

/**
 * Puts right a last line that a crash tore: nobody was told that it is stored. Whole but for its
 * end, it is kept; else cut off. Returns the size of the file.
 */
export async function mendEnd(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const start = await lastLineStart(handle, size);
  if (start === size) {
    return size;
  }
  const tail = Buffer.alloc(size - start);
  await handle.read(tail, 0, tail.length, start);
  if (isJson(tail.toString('utf8'))) {
    await handle.appendFile('\n');
    await handle.datasync();
    return size + 1;
  }
  await handle.truncate(start);
  await handle.datasync();
  return start;
}

/** Where the text behind the last line end begins. */
async function lastLineStart(handle: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.alloc(READ_BYTES);
  for (let end = size; end > 0; end -= Math.min(end, READ_BYTES)) {
    const start = Math.max(0, end - READ_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const found = buffer.subarray(0, bytesRead).lastIndexOf(LINE_END);
    if (found >= 0) {
      return start + found + 1;
    }
  }
  return 0;
}

/** What the last record says is settled; 0 where there is none, and -1 where it cannot be read. */
export async function lastRecord(done: FileHandle): Promise<number> {
  let last: string | null = null;
  for await (const { text } of linesBetween(done, 0, (await done.stat()).size)) {
    last = text;
  }
  if (last === null) {
    return 0;
  }
  const record = isJson(last) ? JSON.parse(last) : null;
  return Number.isSafeInteger(record?.settledBytes) ? record.settledBytes : -1;
}

export async function isLineStart(handle: FileHandle, at: number, size: number): Promise<boolean> {
  if (at <= 0 || at > size) {
    return at === 0;
  }
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at - 1);
  return buffer[0] === LINE_END;
}

export async function countLines(handle: FileHandle, from: number, to: number): Promise<number> {
  let count = 0;
  for await (const _line of linesBetween(handle, from, to)) {
    count += 1;
  }
  return count;
}

export async function* linesBetween(
  handle: FileHandle,
  from: number,
  to: number,
): AsyncGenerator<WaitingLine> {
  let rest = Buffer.alloc(0);
  let readTo = from;
  while (readTo < to) {
    const chunk = Buffer.alloc(Math.min(READ_BYTES, to - readTo));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, readTo);
    if (bytesRead === 0) {
      return;
    }
    rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    readTo += bytesRead;
    let start = 0;
    for (let end = rest.indexOf(LINE_END); end >= 0; end = rest.indexOf(LINE_END, start)) {
      const text = rest.toString('utf8', start, end);
      start = end + 1;
      yield { text, endsAtByte: readTo - rest.length + start };
    }
    rest = rest.subarray(start);
  }
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
