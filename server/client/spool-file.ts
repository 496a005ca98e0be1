/**
 * An append-only file of lines that wait to be sent, made to survive the end of the process, of the
 * machine and of the disk's space at any moment.
 *
 *     FILE            the lines; nothing of it is ever changed but a torn end
 *     FILE.done       how many bytes of it are settled, one record a line; the last one counts
 *     FILE.rejected   what the service refused, for people; only ever appended to
 *     FILE.lock       whose it is
 *
 * When every line is settled the first two are emptied, the records first: a crash in between sends
 * the lines once more, which their keys make harmless. The other order could lose some.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { acquireLock } from '../process-lock.ts';
import { BillingError } from './errors.ts';
import {
  countLines,
  empty,
  isLineStart,
  lastRecord,
  linesBetween,
  mendEnd,
  type WaitingLine,
} from './spool-lines.ts';

/** The lines hold phone numbers. */
const OWNER_ONLY = 0o600;

export interface SpoolFile {
  /** How many lines wait. */
  readonly waiting: number;
  /**
   * Appends lines as one; they are on the disk when it resolves. Rejects with `SPOOL_FAILED`, and
   * leaves nothing of them behind, when the disk does not take them.
   */
  append(line: string): Promise<void>;
  /** The oldest lines that wait, at most so many. Rejects when they are no longer in the file. */
  read(maxLines: number): Promise<WaitingLine[]>;
  /** Marks the oldest lines that wait as settled. */
  settle(lines: readonly WaitingLine[]): Promise<void>;
  /** Adds a line to the file of what was refused. */
  reject(line: string): Promise<void>;
  /** Waits for what is being written, closes the files and gives the lock back. */
  close(): Promise<void>;
}

interface Appending {
  readonly bytes: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Opens a spool's files for this process alone, and makes them where there are none.
 * @throws BillingError `SPOOL_FAILED` when another process has it, or the disk fails
 */
export async function openSpoolFile(path: string): Promise<SpoolFile> {
  const file = resolve(path);
  const opened: FileHandle[] = [];
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const lock = await acquireLock(`${file}.lock`);
    if (!lock.acquired) {
      throw failed(`the process ${lock.holderPid} uses it`);
    }
    try {
      for (const name of [file, `${file}.done`, `${file}.rejected`]) {
        opened.push(await openPrivate(name));
      }
      await syncDirectory(dirname(file));
      return await spoolOver(opened as [FileHandle, FileHandle, FileHandle], lock.release);
    } catch (error) {
      await Promise.all(opened.map((handle) => handle.close()));
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw error instanceof BillingError ? error : failed(reasonOf(error), error);
  }
}

async function spoolOver(
  [lines, done, rejected]: readonly [FileHandle, FileHandle, FileHandle],
  release: () => Promise<void>,
): Promise<SpoolFile> {
  let size = await mendEnd(lines);
  await mendEnd(done);
  await mendEnd(rejected);
  let settled = await lastRecord(done);
  if (!(await isLineStart(lines, settled, size))) {
    // Records of other lines than these. Forgetting them sends lines again, which changes nothing.
    settled = 0;
    await empty(done);
  }
  let waiting = await countLines(lines, settled, size);
  let appending: Appending[] = [];
  let broken: BillingError | null = null;

  // One write at a time: what is undone after a failure is then always the end of the file.
  let turn: Promise<unknown> = Promise.resolve();
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  }

  /** Writes at the end and waits for the disk. After a failure the file is as before. */
  async function write(handle: FileHandle, bytes: Buffer, endsAtByte: number): Promise<void> {
    try {
      await handle.appendFile(bytes);
      await handle.datasync();
    } catch (error) {
      try {
        await handle.truncate(endsAtByte);
        await handle.datasync();
      } catch {
        // What follows a torn line would be read as part of it.
        broken = failed('it could not be mended after a failed write; open it again', error);
      }
      throw failed(reasonOf(error), error);
    }
  }

  /** Writes all that waits for its turn at once: one wait for the disk serves many. */
  async function appendAll(): Promise<void> {
    const group = appending;
    appending = [];
    if (group.length === 0) {
      return;
    }
    try {
      if (broken !== null) {
        throw broken;
      }
      const bytes = Buffer.concat(group.map((item) => item.bytes));
      await write(lines, bytes, size);
      size += bytes.length;
      waiting += group.length;
      for (const item of group) {
        item.resolve();
      }
    } catch (error) {
      for (const item of group) {
        item.reject(error);
      }
    }
  }

  async function appendTo(handle: FileHandle, line: string): Promise<void> {
    const { size: endsAtByte } = await handle.stat();
    await write(handle, Buffer.from(`${line}\n`), endsAtByte);
  }

  return {
    get waiting() {
      return waiting;
    },

    append(line) {
      return new Promise((resolve, reject) => {
        appending.push({ bytes: Buffer.from(`${line}\n`), resolve, reject });
        void inTurn(appendAll);
      });
    },

    async read(maxLines) {
      const found: WaitingLine[] = [];
      for await (const line of linesBetween(lines, settled, size)) {
        found.push(line);
        if (found.length === maxLines) {
          break;
        }
      }
      if (found.length === 0 && waiting > 0) {
        throw failed('its file is shorter than what was written; something else has changed it');
      }
      return found;
    },

    settle: (settledLines) =>
      inTurn(async () => {
        const endsAtByte = settledLines.at(-1)?.endsAtByte;
        if (endsAtByte === undefined) {
          return;
        }
        settled = endsAtByte;
        waiting -= settledLines.length;
        if (settled < size) {
          // A full disk must not keep the lines that fill it from being settled. Without the record
          // the next process sends these again, which changes nothing.
          await appendTo(done, JSON.stringify({ settledBytes: endsAtByte })).catch(() => {});
          return;
        }
        await empty(done);
        await lines.truncate(0);
        size = 0;
        settled = 0;
        await lines.datasync();
      }),

    reject: (line) => inTurn(() => appendTo(rejected, line)),

    async close() {
      await inTurn(appendAll);
      await inTurn(() => Promise.all([lines.close(), done.close(), rejected.close()]));
      await release();
    },
  };
}

async function openPrivate(path: string): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_RDWR } = constants;
  const handle = await open(path, O_APPEND | O_CREAT | O_RDWR, OWNER_ONLY);
  // Also where it was there before, with more open rights.
  await handle.chmod(OWNER_ONLY);
  return handle;
}

/** Makes the files' names as durable as what is in them. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The system's word for what went wrong; its message would hold more. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown reason';
}

function failed(reason: string, cause?: unknown): BillingError {
  return new BillingError(
    {
      code: 'SPOOL_FAILED',
      message: `The spool cannot be used: ${reason}.`,
      requestId: null,
      retryable: false,
      outcomeUnknown: false,
      retryAfterMs: null,
    },
    { cause },
  );
}
